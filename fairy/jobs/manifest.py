"""Record what a job's finished parts depend on: clip, settings, model and versions.

The manifest is written once, as `manifest.json` beside the parts, when a job begins. It also keeps
the clip's hash and shots, because each takes a pass over the clip to compute.
Tests: tests/jobs/test_manifest.py.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairy.errors import MediaError
from fairy.media.folder import list_images
from fairy.media.names import real
from fairy.media.shots import Shot
from fairy.settings import EditConfig
from fairy.system import parse_json, versions

if TYPE_CHECKING:
    # It imports torch
    from fairy.editors.base import EditorIdentity

Document = dict[str, Any]
"""A manifest read back from JSON."""

# These change only the speed of an edit, not its result.
_WITHOUT_EFFECT = ("frame_batch_size", "anchor_cache_device", "anchor_cache", "offload", "compile")
# These are used only once all frames are done.
_AT_THE_END = ("c2pa", "c2pa_no_prompt")
# These are compared by what they resolve to: the editor, the shots, the shortcuts and the inputs.
_RESOLVED = (
    "model",
    "device",
    "dtype",
    "shots",
    "quality",
    "mask",
    "keyframes",
    "keyframe",
    "ref",
    "schedule",
)
# These are for people to read; the edit does not depend on them.
_NOT_COMPARED = ("source.name", "source.files", "model_name", "shots_setting")
_KNOWN_ONCE_LOADED = ("editor", "size")


def _computing_versions() -> dict[str, str]:
    return {name: text for name, text in versions().items() if name not in ("python", "platform")}


@dataclass(frozen=True)
class ClipFile:
    """A file of a clip in its present state; any change to the file gives a different value."""

    path: Path
    size_bytes: int
    modified_ns: int
    # When the file system recorded the last change; programs cannot set it back
    changed_ns: int


def clip_files(path: Path) -> tuple[ClipFile, ...]:
    """Return the clip's file, or the images of its folder."""
    path = real(path)
    files = sorted(list_images(path)) if path.is_dir() else [path]
    stats = [(file, file.stat()) for file in files]
    return tuple(
        ClipFile(file, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for file, stat in stats
    )


@dataclass(frozen=True, kw_only=True)
class SourceIdentity:
    """Identifies a clip by its content, not by its name or time.

    Attributes:
        name: the clip's path.
        size_bytes: size of the file, or of all images in the folder.
        content: SHA-256 of the file, or of the images and their names.
        files: SHA-256 of the files' names, sizes and times; if it is unchanged, so is `content`.
    """

    name: str
    size_bytes: int
    content: str
    files: str

    @classmethod
    def of(cls, path: Path, earlier: Document | None = None) -> SourceIdentity:
        """Return the identity of the clip at `path`.

        Reads the whole clip, unless its files are unchanged since the manifest `earlier`.
        """
        files = clip_files(path)
        known = earlier is not None and is_source_of(files, earlier)
        return cls(
            name=str(path),
            size_bytes=sum(file.size_bytes for file in files),
            content=earlier["source"]["content"] if earlier and known else _content(files),
            files=_state(files),
        )


def is_source_of(files: tuple[ClipFile, ...], earlier: Document) -> bool:
    """Return whether a clip's files are unchanged since the manifest `earlier`."""
    return bool(earlier.get("source", {}).get("files") == _state(files))


def _state(files: tuple[ClipFile, ...]) -> str:
    return hashlib.sha256(repr(files).encode(errors="backslashreplace")).hexdigest()


# Several instructions for one clip read the clip and their other input files only once
@lru_cache(maxsize=4)
def _content(files: tuple[ClipFile, ...]) -> str:
    """Return the SHA-256 of the files; if there are several, also of their names."""
    digest = hashlib.sha256()
    for file in files:
        if len(files) > 1:
            digest.update(os.fsencode(file.path.name) + b"\0")
        with file.path.open("rb") as content:
            while block := content.read(2**20):
                digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that decides what a job's frames look like.

    Attributes:
        source: the clip.
        instruction: what to change.
        settings: the `EditConfig` settings that affect the result, as given.
        inputs: SHA-256 of each other input, keyed by the setting that names it.
        shots: (first frame, frame after the last) of each shot.
        shots_setting: how the shots were chosen: "auto", "off" or a file.
        compare: absolute path of the side-by-side clip, if one is written.
        model_name: the model as the user named it.
        editor: the loaded model; None before it is loaded.
        size: (height, width) at which the model works; None before it is loaded.
        versions: versions of Fairy and of the libraries that compute.
    """

    source: SourceIdentity
    instruction: str
    settings: dict[str, Any]
    shots: tuple[Shot, ...]
    shots_setting: str
    compare: str | None
    model_name: str
    inputs: dict[str, str] = field(default_factory=dict)
    editor: EditorIdentity | None = None
    size: tuple[int, int] | None = None
    versions: dict[str, str] = field(default_factory=_computing_versions)

    def to_json(self) -> str:
        """Return the manifest as a JSON document with a trailing newline."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    def differences(self, earlier: Document) -> list[str]:
        """Describe each difference from an earlier manifest.

        Values that are known only once the model is loaded are compared if they are known.
        """
        mine, theirs = (dict(_flat(document)) for document in (json.loads(self.to_json()), earlier))
        unknown = [name for name in _KNOWN_ONCE_LOADED if getattr(self, name) is None]
        return [
            _in_words(name, theirs.get(name), mine[name])
            for name in mine
            if name not in (*_NOT_COMPARED, *unknown) and theirs.get(name) != mine[name]
        ]


def inputs_of(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 of each file or folder, as `SourceIdentity.content`."""
    return {name: _content(clip_files(path)) for name, path in files.items()}


def effective_settings(config: EditConfig) -> dict[str, Any]:
    """Return the settings that can change the result."""
    left_out = _WITHOUT_EFFECT + _AT_THE_END + _RESOLVED
    settings = asdict(config) | asdict(config.shortcuts)
    return {name: value for name, value in settings.items() if name not in left_out}


def read_manifest(path: Path) -> Document:
    """Return the document of an earlier manifest.

    Raises:
        MediaError: the file is missing or is not a manifest.
    """
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        if isinstance(document, dict) and "instruction" in document:
            return document
    except (OSError, ValueError):
        pass
    raise MediaError(
        f"{path}: not a manifest of Fairy's: move {path.parent} away, or give another output"
    )


def _flat(document: Document, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of a nested document; lists are values."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _in_words(name: str, before: object, now: object) -> str:
    """Describe one difference for people, without hashes."""
    if name in ("source.content", "source.size_bytes"):
        return "the clip's content has changed"
    if name == "editor.weights":
        return "the model is another one"
    if name.startswith("inputs."):
        return f"--{name.removeprefix('inputs.').replace('_', '-')} is another"
    return f"{name.split('.')[-1]} was {_short(before)}, is {_short(now)}"


def _short(value: object) -> str:
    text = "the default" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def join_words(differences: Sequence[str]) -> str:
    """Join differences into one line, without repeats."""
    return "; ".join(dict.fromkeys(differences))
