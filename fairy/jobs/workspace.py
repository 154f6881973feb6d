"""`OUT.fairy`, the folder beside OUT that keeps a job's finished parts until the job is done.

- `manifest.json`: what the parts depend on (`fairy.jobs.manifest`);
- `result-A-B.HASH.segment`, `compare-A-B.HASH.segment`: frames A to B - 1, encoded
  (`fairy.media.encoding.segments`);
- `frames-A-B.HASH.npy`: edited frames that are not in a segment yet, uint8 (F,H,W,3) at the
  model's size;
- `anchors-A.HASH.safetensors`: a preview's anchors of the shot that begins at A;
- `published`: identifies the finished outputs, so they are not mistaken for other files;
- `*.part` and names without HASH: being written; `lock`: locked by the process that works here.

The names are the only record of what is done, so no list can contradict the files. A part gets its
final name, which contains the start of its SHA-256, when it is complete and synced to disk. So a
kill or a power cut loses only the work in progress. A part that was damaged later does not match
its name; it is deleted on entering and made again. Only files with these names are ever deleted.
Tests: tests/jobs/test_workspace.py.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from fairy.errors import MediaError, SettingsError
from fairy.jobs.manifest import Manifest, join_words, read_manifest
from fairy.media.colours import Image
from fairy.media.names import beside

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
LOCK = "lock"
PUBLISHED = "published"
SUFFIXES = {"result": "segment", "compare": "segment", "frames": "npy", "anchors": "safetensors"}
# Role, first frame, frame after the last, hash, whether it is still being written
_PART = re.compile(
    r"(result|compare|frames|anchors)-(\d{8})(?:-(\d{8}))?(?:\.([0-9a-f]{16}))?"
    r"\.(?:segment|npy|safetensors)(\.part)?"
)
_UNFINISHED = (f"{MANIFEST}.part", "result.part", "compare.part")


@dataclass(frozen=True)
class Part:
    """A complete file with frames `first` to `end` - 1 of a role; `hash` starts its SHA-256."""

    path: Path
    role: str
    first: int
    end: int
    hash: str


class Workspace:
    """The folder of one job; a context manager that holds its lock.

    Args:
        out: the output that the job writes.

    Attributes:
        path: the folder.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.path = beside(out, ".fairy")
        self._lock = FileLock(self.path / LOCK)
        self._roles: tuple[str, ...] = ("result",)

    def __enter__(self) -> Workspace:
        """Create the folder, lock it and delete unfinished and damaged parts.

        Raises:
            MediaError: another process works on the same output, or the folder is not ours.
        """
        try:
            self._check_ours()
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise MediaError(f"{self._out}: cannot be written: {error.strerror}") from error
        try:
            self._lock.acquire(blocking=False)
        except (Timeout, FileNotFoundError) as error:
            raise MediaError(
                f"{self._out}: another process is writing it: wait for it or give another name"
            ) from error
        except OSError as error:
            raise MediaError(f"{self._out}: cannot be written: {error.strerror}") from error
        self._delete_unfinished()
        self._delete_damaged()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the lock; delete the folder unless it has finished parts."""
        self._delete_unfinished()
        if self.parts():
            self._lock.release()
            return
        self.clear()
        # Before the release, so that nobody gets a lock that is about to be deleted; Windows
        # deletes no open file.
        with suppress(PermissionError):
            (self.path / LOCK).unlink()
        self._lock.release()
        (self.path / LOCK).unlink(missing_ok=True)
        # It may contain files of the user or of the next process.
        with suppress(OSError):
            self.path.rmdir()

    def manifest(self) -> dict[str, Any] | None:
        """Return the manifest's document, or None if there is no readable one. Needs no lock."""
        with suppress(MediaError):
            return read_manifest(self.path / MANIFEST)
        return None

    def check(self, manifest: Manifest) -> None:
        """Check that the finished frames have the same clip and settings.

        If there are only a preview's anchors, they are deleted instead.

        Raises:
            SettingsError: something differs; the message says what.
        """
        self._roles = ("result",) if manifest.compare is None else ("result", "compare")
        earlier = self.manifest()
        differences = manifest.differences(earlier) if earlier is not None else []
        if differences and self.num_done:
            raise SettingsError(
                f"{self._out}: {self.num_done} frames are done with other settings "
                f"({join_words(differences)}): use those, or --restart to edit all frames again"
            )
        if differences:
            self.clear()

    def begin(self, manifest: Manifest) -> None:
        """Write the manifest of a checked job."""
        part = self.path / f"{MANIFEST}.part"
        _write_synced(part, manifest.to_json().encode(errors="backslashreplace"))
        part.replace(self.path / MANIFEST)

    @property
    def num_done(self) -> int:
        """Number of finished frames, encoded or not."""
        spans: dict[str, set[int]] = {role: set() for role in SUFFIXES}
        for part in self.parts():
            spans[part.role].update(range(part.first, part.end))
        encoded = set.intersection(*(spans[role] for role in self._roles))
        return len(encoded | spans["frames"])

    def parts(self, role: str | None = None) -> list[Part]:
        """Return the complete parts of a role, or of all roles, in frame order."""
        return [
            Part(path, match[1], int(match[2]), int(match[3] or match[2]), match[4])
            for path, match in self._ours()
            if match is not None and match[4] and not match[5] and role in (None, match[1])
        ]

    def new_path(self, role: str, first: int, end: int | None = None) -> Path:
        """Return the path to write a part to before it is sealed."""
        span = f"{first:08d}" if end is None else f"{first:08d}-{end:08d}"
        return self.path / f"{role}-{span}.{SUFFIXES[role]}"

    def seal(self, path: Path) -> None:
        """Rename a complete part, written at `new_path`, to its name with the hash."""
        sealed = path.with_name(f"{path.stem}.{_hash(path)}{path.suffix}")
        for other in self.path.glob(f"{path.stem}.*{path.suffix}"):
            if other != sealed:
                other.unlink()
        path.replace(sealed)

    def anchors(self, first: int) -> Path | None:
        """Return the file of the anchors of the shot that begins at `first`, if there is one."""
        return next((part.path for part in self.parts("anchors") if part.first == first), None)

    def part_of(self, role: str, output: Path) -> Path:
        """Return where an output is written before it is renamed: here, or else beside it."""
        if output.parent.stat().st_dev == self.path.stat().st_dev:
            return self.path / f"{role}.part"
        return beside(output, ".fairy.part", hidden=True)

    def keep(self, first: int, images: Image) -> None:
        """Write edited frames, uint8 (F,H,W,3), to disk; `first` is the first one's number."""
        path = self.new_path("frames", first, first + len(images))
        # When NumPy writes the file itself, a full disk's error has no reason from the system
        content = io.BytesIO()
        np.save(content, images, allow_pickle=False)
        _write_synced(path, content.getbuffer())
        self.seal(path)

    def kept(self, indices: range) -> dict[int, Image]:
        """Return, by index, the kept edited frames among `indices`, uint8 (H,W,3)."""
        kept: dict[int, Image] = {}
        for part in self.parts("frames"):
            if part.first < indices.stop and indices.start < part.end:
                images = np.load(part.path, allow_pickle=False)
                kept |= dict(zip(range(part.first, part.end), images, strict=True))
        return {index: image for index, image in kept.items() if index in indices}

    def drop_kept(self, indices: range) -> None:
        """Delete the kept frames at `indices`, once they are encoded."""
        for part in self.parts("frames"):
            if indices.start <= part.first and part.end <= indices.stop:
                part.path.unlink()

    def remember(self, path: Path) -> None:
        """Record a finished file or folder before it is renamed to an output."""
        with (self.path / PUBLISHED).open("a", encoding="ascii") as file:
            file.write(f"{_identity(path)}\n")
            file.flush()
            os.fsync(file.fileno())

    def wrote(self, path: Path) -> bool:
        """Return whether `path` is an output of this job, which was stopped just after that."""
        published = self.path / PUBLISHED
        if not published.is_file() or not path.exists():
            return False
        return _identity(path) in published.read_text(encoding="ascii").split()

    def clear(self) -> None:
        """Delete everything that the job has written here, except the lock."""
        for path, _ in self._ours():
            _delete(path)
        for name in (PUBLISHED, MANIFEST):
            (self.path / name).unlink(missing_ok=True)

    def _check_ours(self) -> None:
        """Refuse a folder of this name that has files but no manifest."""
        if not self.path.exists():
            return
        if (self.path / MANIFEST).exists():
            read_manifest(self.path / MANIFEST)
            return
        if any(path.name not in (LOCK, f"{MANIFEST}.part") for path in self.path.iterdir()):
            raise MediaError(
                f"{self.path}: Fairy keeps its work in a folder of this name, but this one is not "
                "Fairy's: rename it, or give another output"
            )

    def _delete_unfinished(self) -> None:
        for path, match in self._ours():
            if match is None or match[4] is None or match[5] is not None:
                _delete(path)

    def _delete_damaged(self) -> None:
        for part in self.parts():
            if _hash(part.path) != part.hash:
                logger.warning("%s: damaged; its frames are made again", part.path)
                part.path.unlink()

    def _ours(self) -> Iterator[tuple[Path, re.Match[str] | None]]:
        """Yield the files with names of parts, finished or not, and the names' fields."""
        for path in sorted(self.path.iterdir()):
            match = _PART.fullmatch(path.name)
            if match is not None or path.name in _UNFINISHED:
                yield path, match


def _write_synced(path: Path, content: bytes | memoryview) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _hash(path: Path) -> str:
    """Return the first 16 digits of the file's SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()[:16]


def _identity(path: Path) -> str:
    """Return an identity of a file or folder that stays the same when it is renamed."""
    stat = path.stat()
    return f"{stat.st_ino}" if path.is_dir() else f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
