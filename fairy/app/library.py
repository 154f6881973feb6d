"""Clips and edits of the page's users on disk: one folder a user, one folder an edit.

    OUT/<user>/clips/<digest>.mp4          a clip, its proxy for browsers and masks
    OUT/<user>/<edit>/edit.json            what was asked for and how far it is
    OUT/<user>/<edit>/<result>.mp4         the result; beside it what an interrupted edit keeps

A name of a user or an edit cannot be guessed, because the page serves this folder.
Tests: tests/app/test_library.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fairy.media.encoding.codecs import CONTAINERS
from fairy.media.proxy import plays_in_browsers, write_proxy
from fairy.media.read import probe
from fairy.settings import EditConfig
from fairy.system import parse_json

RECORD = "edit.json"
DAY_S = 24 * 3600


@dataclass(frozen=True)
class Clip:
    """A clip that a user gave: where it is kept, and its name on the user's machine."""

    path: Path
    name: str


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One edit of a user, finished or not.

    Attributes:
        folder: its own folder.
        clip: the clip.
        instruction: what to change.
        settings: the settings that were chosen, by field, as in a settings file.
        created_s: when it was first asked for, in seconds of the epoch.
        frames: (done, of the clip).
    """

    folder: Path
    clip: Clip
    instruction: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    created_s: float = 0.0
    frames: tuple[int, int] = (0, 0)

    @property
    def out(self) -> Path:
        """The result's file."""
        codec = self.settings.get("codec") or "h264"
        suffix = next(suffix for suffix, kind in CONTAINERS.items() if codec in kind.codecs)
        return self.folder / f"{Path(self.clip.name).stem[:60]}-{slug(self.instruction)}{suffix}"

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self.out.is_file()

    @property
    def thumbnail(self) -> Path:
        """A small picture of an edited frame."""
        return self.folder / "thumbnail.jpg"

    def save(self) -> Edit:
        """Write the record, and return the edit."""
        document = asdict(self) | {"folder": None}
        document["clip"] = {"path": self.clip.path.name, "name": self.clip.name}
        part = self.folder / f".{RECORD}.part"
        part.write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
        part.replace(self.folder / RECORD)
        return self


class UserFolder:
    """The clips and edits of one user.

    Args:
        root: the folder of all users.
        user: who; a random text, or a name of `--auth`.

    Attributes:
        names: what the user calls the files that were given to this object, for messages.
    """

    def __init__(self, root: Path, user: str) -> None:
        self.path = root / hashlib.sha256(f"fairy {user}".encode()).hexdigest()[:24]
        self._clips = self.path / "clips"
        self.names: dict[Path, str] = {}

    def keep_clip(self, upload: Path) -> Clip:
        """Return an uploaded clip, linked or copied into the folder."""
        return Clip(self._keep(upload), upload.name)

    def keep_mask(self, upload: Path) -> Path:
        """Return an uploaded mask, linked or copied into the folder."""
        return self._keep(upload)

    def keep_keyframes(self, pictures: Sequence[Path], export: Callable[[Path], object]) -> Path:
        """Return a folder of key frames: `export` writes the anchors, `pictures` replace them."""
        pictures = sorted(pictures, key=lambda one: one.name)
        kept = [self._keep(picture) for picture in pictures]
        names = " ".join(f"{one.name} {two.name}" for one, two in zip(kept, pictures, strict=True))
        folder = self._clips / f"{hashlib.sha256(names.encode()).hexdigest()[:24]}.keyframes"
        if not folder.exists():
            export(folder)
            for picture in pictures:
                shutil.copyfile(picture, folder / picture.name)
        self.names[folder] = "edited anchors"
        return folder

    def _keep(self, upload: Path) -> Path:
        hashed = hashlib.sha256()
        with upload.open("rb") as file:
            while block := file.read(1 << 20):
                hashed.update(block)
        digest = hashed.hexdigest()[:24]
        kept = self._clips / f"{digest}{upload.suffix.lower()}"
        if not kept.exists():
            self._clips.mkdir(parents=True, exist_ok=True)
            part = kept.with_name(f".{secrets.token_hex(8)}.part")
            try:
                os.link(upload, part)
            except OSError:
                shutil.copyfile(upload, part)
            part.replace(kept)
        os.utime(kept)
        self.names[kept] = upload.name
        return kept

    def edit(self, clip: Clip, instruction: str, settings: Mapping[str, Any]) -> Edit:
        """Return the edit of `clip` with these settings: the one there is, or a new one."""
        # As it comes back from the record
        settings = json.loads(json.dumps(settings, default=str))
        instruction = " ".join(instruction.split())
        for one in self.edits():
            if (one.clip.path, one.instruction, one.settings) == (clip.path, instruction, settings):
                return one
        folder = self.path / f"{slug(instruction)}-{secrets.token_hex(8)}"
        folder.mkdir(parents=True)
        edit = Edit(
            folder=folder,
            clip=clip,
            instruction=instruction,
            settings=settings,
            created_s=time.time(),
        )
        return edit.save()

    def edits(self) -> list[Edit]:
        """Return the user's edits, the newest first."""
        found = [self._read(path.parent) for path in self.path.glob(f"*/{RECORD}")]
        return sorted((one for one in found if one), key=lambda one: -one.created_s)

    def find(self, name: str) -> Edit | None:
        """Return the edit whose folder has this name, if it is the user's."""
        return next((one for one in self.edits() if one.folder.name == name), None)

    def _read(self, folder: Path) -> Edit | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            document = parse_json((folder / RECORD).read_text(encoding="utf-8"))
            clip = Clip(self._clips / document["clip"]["path"], document["clip"]["name"])
            frames = (int(document["frames"][0]), int(document["frames"][1]))
            return Edit(**document | {"folder": folder, "clip": clip, "frames": frames})
        return None


def player_file(path: Path, folder: Path | None = None) -> Path:
    """Return a file that browsers play: `path` itself, or an H.264 proxy of it.

    Args:
        path: a clip.
        folder: for the proxy; beside `path` when None.
    """
    if plays_in_browsers(probe(path)):
        return path
    proxy = (folder or path.parent) / f"{path.stem}.proxy.mp4"
    if not proxy.exists():
        write_proxy(path, proxy)
    return proxy


def slug(text: str) -> str:
    """Return a text as part of a file's name.

    >>> slug("Make it  night!")
    'make-it-night'
    """
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")[:40] or "edit"


def clean(root: Path, keep_days: float | None, now_s: float | None = None) -> None:
    """Delete what nobody needs any more.

    Unfinished edits and clips without an edit go after a day, results after `keep_days`.
    """
    now_s = time.time() if now_s is None else now_s
    for user in (path for path in root.glob("*") if (path / "clips").is_dir()):
        for record in user.glob(f"*/{RECORD}"):
            age_s = now_s - record.stat().st_mtime
            finished = any(path.suffix in CONTAINERS for path in record.parent.iterdir())
            days = keep_days if finished else 1
            if days is not None and age_s > days * DAY_S:
                shutil.rmtree(record.parent, ignore_errors=True)
        texts = [record.read_text(encoding="utf-8") for record in user.glob(f"*/{RECORD}")]
        for kept in (user / "clips").iterdir():
            digest = kept.name.split(".")[0]
            unused = not digest or not any(digest in text for text in texts)
            if unused and now_s - kept.stat().st_mtime > DAY_S:
                shutil.rmtree(kept) if kept.is_dir() else kept.unlink(missing_ok=True)


def with_frames(edit: Edit, done: int, total: int) -> Edit:
    """Return the edit with its progress noted on disk."""
    return replace(edit, frames=(done, total)).save()


def config_of(edit: Edit, base: Mapping[str, Any]) -> EditConfig:
    """Return the settings of an edit; `base` are those of the server."""
    return EditConfig(**{**base, **edit.settings})
