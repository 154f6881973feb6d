"""What the finished parts of a job depend on: the clip, the settings, the model, the versions.

It is written once, when a job begins, as `manifest.json` among its parts. Which frames are done is
told by the names of the parts (`fairy.jobs.workspace`): there is no list that could disagree.
Tests: tests/jobs/test_manifest.py.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from fairy.editors.base import Editor
from fairy.errors import MediaError
from fairy.media.shots import Shot
from fairy.settings import EditConfig
from fairy.system import versions

# They change how fast an edit runs, not what comes out.
_WITHOUT_EFFECT = ("frame_batch_size", "anchor_cache_device", "compile")
# Different words may mean the same: what they came to stands in `ModelIdentity` and `shots`.
_RESOLVED = ("model", "device", "dtype", "shots", "quality")
# They tell a person something, and are no reason to begin anew.
_NOT_COMPARED = ("source.name", "source.modified_s", "model.name")
_BLOCK_BYTES = 2**20


def _computing_versions() -> dict[str, str]:
    return {name: text for name, text in versions().items() if name not in ("python", "platform")}


@dataclass(frozen=True, kw_only=True)
class SourceIdentity:
    """Which clip was read: its content decides, not its name or its time.

    Attributes:
        name: its path.
        modified_s: when it was changed last, in seconds since 1970.
        size_bytes: of the file, or of all images of a folder.
        content: SHA-256 of the file, or of the images and their names.
    """

    name: str
    modified_s: float
    size_bytes: int
    content: str

    @classmethod
    def of(cls, path: Path) -> SourceIdentity:
        """Return the identity of the clip at `path`; reads all of it."""
        files = clip_files(path)
        return cls(
            name=str(path),
            modified_s=max((file.modified_ns for file in files), default=0) / 1e9,
            size_bytes=sum(file.size_bytes for file in files),
            content=_content(files),
        )


@dataclass(frozen=True)
class ClipFile:
    """A file of a clip as it stands on the disk: a change of it is another `ClipFile`."""

    path: Path
    size_bytes: int
    modified_ns: int
    # When the file system noted the last change: nobody sets this back
    noted_ns: int


def clip_files(path: Path) -> tuple[ClipFile, ...]:
    """Return the file of a clip, or all files of its folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file, file.stat()) for file in files if file.is_file()]
    return tuple(
        ClipFile(file, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for file, stat in stats
    )


# Several instructions for one clip read it once
@lru_cache(maxsize=1)
def _content(files: tuple[ClipFile, ...]) -> str:
    """Return the SHA-256 of the files and, of several, their names."""
    digest = hashlib.sha256()
    for file in files:
        if len(files) > 1:
            digest.update(os.fsencode(file.path.name) + b"\0")
        for block in _blocks(file.path):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class ModelIdentity:
    """Which model runs, and on what: the weights decide, not where they came from.

    Attributes:
        name: as it was asked for.
        weights: SHA-256 over the first values of every weight, the scheduler and the defaults.
        device: the kind of device: "cpu", "cuda", "mps".
        dtype: in which it runs.
    """

    name: str
    weights: str
    device: str
    dtype: str

    @classmethod
    def of(cls, name: str, pipe: Editor) -> ModelIdentity:
        """Return the identity of a loaded model."""
        return cls(name=name, **asdict(pipe.identity()))


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that decides what a job's frames look like.

    Attributes:
        source: the clip.
        instruction: what to change.
        settings: of `EditConfig`, those with an effect, as they were given.
        shots: (first frame, frame after the last) of each shot.
        compare: where source and result side by side are written, if anywhere.
        model: the model; None as long as it is not loaded.
        versions: of Fairy and of the libraries that compute.
    """

    source: SourceIdentity
    instruction: str
    settings: dict[str, Any]
    shots: tuple[Shot, ...]
    compare: str | None
    model: ModelIdentity | None = None
    versions: dict[str, str] = field(default_factory=_computing_versions)

    def to_json(self) -> str:
        """Return the manifest as a JSON document with a trailing newline."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    def differences(self, earlier: dict[str, Any]) -> list[str]:
        """Return in words what is not as in the document of an earlier manifest.

        What is not known yet (`model`) is not compared.
        """
        mine, theirs = (dict(_flat(document)) for document in (json.loads(self.to_json()), earlier))
        names = [name for name in mine if name not in _NOT_COMPARED]
        if self.model is None:
            names = [name for name in names if not name.startswith("model")]
        return [
            _in_words(name, theirs.get(name), mine[name])
            for name in names
            if theirs.get(name) != mine[name]
        ]


def effective_settings(config: EditConfig) -> dict[str, Any]:
    """Return the settings that can change what comes out."""
    left_out = _WITHOUT_EFFECT + _RESOLVED
    settings = asdict(config) | asdict(config.shortcuts)
    return {name: value for name, value in settings.items() if name not in left_out}


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the document of an earlier manifest.

    Raises:
        MediaError: it is not one.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MediaError(
            f"{path}: not a manifest of Fairy's: move {path.parent} away, or give another output"
        ) from error
    if not isinstance(document, dict) or "instruction" not in document:
        raise MediaError(
            f"{path}: not a manifest of Fairy's: move {path.parent} away, or give another output"
        )
    return document


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _flat(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of a nested document; lists are values."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _in_words(name: str, before: object, now: object) -> str:
    """Return one difference for a person: content and weights have no value worth reading."""
    if name in ("source.content", "source.size_bytes"):
        return "the clip's content has changed"
    if name == "model.weights":
        return "the model is another one"
    plain = name.removeprefix("settings.").removeprefix("versions.").removeprefix("model.")
    return f"{plain} was {_short(before)}, is {_short(now)}"


def _short(value: object) -> str:
    text = "the default" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def join_words(differences: Sequence[str]) -> str:
    """Return differences as one line, each once."""
    return "; ".join(dict.fromkeys(differences))
