"""The workspace: a folder `OUT.fairy` beside OUT that keeps finished parts until the job is done.

- `manifest.json`: what the parts depend on (`fairy.jobs.manifest`);
- `result-A-B.HASH.segment`, `compare-A-B.HASH.segment`: frames A to B - 1, encoded
  (`fairy.media.encoding.segments`);
- `frames-A-B.HASH.npy`: edited frames that are not in a segment yet, uint8 (F,H,W,3) at the
  model's size;
- `anchors-A.HASH.safetensors`: a preview's anchors of the shot that begins at A;
- `published`: identifies the finished outputs, so that they are not mistaken for other files;
- `*.part`, and names with a process instead of HASH: files being written;
- `lock`: held by the process that will publish the outputs;
- `claims/`: who works on which segment, if there are several processes (`fairy.jobs.team`).

The file names are the only record of what is done, so no list can contradict the files. A part
gets its final name, with the start of its SHA-256, once it is complete and synced to disk. So a
kill or a power cut loses only the work in progress. If a part is damaged later, it no longer
matches its name; `__enter__` deletes it and it is made again. Only files with these names are ever
deleted.
Tests: tests/jobs/test_workspace.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from fairy.errors import MediaError, SettingsError, WorkspaceInUseError
from fairy.jobs.claims import Owner, may_live
from fairy.jobs.manifest import Manifest, join_words, read_manifest
from fairy.media.colours import Image
from fairy.media.names import beside, missing_folders, nearest_folder
from fairy.system import NOT_SUPPORTED, can_lock, write_through

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
LOCK = "lock"
CLAIMS = "claims"
# How often claims are deleted that somebody still writes, and how long to wait in between
CLAIMS_TRIES, CLAIMS_WAIT_S = 20, 0.02
PUBLISHED = "published"
SUFFIXES = {"result": "segment", "compare": "segment", "frames": "npy", "anchors": "safetensors"}
# Role, first frame, frame after the last, hash, the process writing it, ".part" while written
_PART = re.compile(
    r"(result|compare|frames|anchors)-(\d{8})(?:-(\d{8}))?(?:\.([0-9a-f]{16}))?(?:\.by-([\w-]+))?"
    r"\.(?:segment|npy|safetensors)(\.part)?"
)
_UNFINISHED = (f"{MANIFEST}.part", "result.part", "compare.part")


@dataclass(frozen=True)
class Part:
    """A complete file with frames `first` to `end` - 1; `hash` is the start of its SHA-256."""

    path: Path
    role: str
    first: int
    end: int
    hash: str


class Workspace:
    """The folder of one job; a context manager that holds its lock.

    Args:
        out: the output that the job writes.
        work_dir: parent of the folder; None puts it beside `out`.

    Attributes:
        path: the folder.
    """

    def __init__(self, out: Path, work_dir: Path | None = None) -> None:
        self._out = out
        self.path = beside(out if work_dir is None else work_dir / out.name, ".fairy")
        self._lock = FileLock(self.path / LOCK)
        self._roles: tuple[str, ...] = ("result",)
        self._joined_text: str | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Workspace:
        """Create the folder, lock it and delete unfinished and damaged parts.

        Raises:
            MediaError: another process is writing the same output, or the folder is not Fairy's.
        """
        try:
            self._check_ours()
            self._made = missing_folders(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MediaError(f"{self._out}: cannot be written: {error.strerror}") from error
        try:
            self._acquire()
        except (Timeout, FileNotFoundError) as error:
            raise WorkspaceInUseError(
                f"{self._out}: another process is writing it: wait for it or give another name"
            ) from error
        except OSError as error:
            raise MediaError(f"{self._out}: cannot be written: {error.strerror}") from error
        self._delete_unfinished()
        self._delete_damaged()
        return self

    def _acquire(self) -> None:
        """Lock the folder; if the file system has no locks, warn and continue."""
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            if can_lock(self.path):
                raise
        except OSError as error:
            if error.errno not in NOT_SUPPORTED:
                raise
        except NotImplementedError:
            pass
        if not self._lock.is_locked:
            logger.warning(
                "%s: this file system has no locks: let no other process write to it", self.path
            )

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
        self._delete_claims()
        # Delete the file before releasing the lock, so that no process acquires a lock that is
        # about to be deleted. Windows cannot delete an open file.
        with suppress(PermissionError):
            (self.path / LOCK).unlink()
        self._lock.release()
        (self.path / LOCK).unlink(missing_ok=True)
        # It may contain files of the user or of the next process.
        with suppress(OSError):
            self.path.rmdir()
            # Those of an output that was not written
            for folder in self._made:
                folder.rmdir()

    def _delete_claims(self) -> None:
        """Delete the claims; a process that helped may be writing its last one."""
        for _ in range(CLAIMS_TRIES):
            shutil.rmtree(self.claims, ignore_errors=True)
            if not self.claims.exists():
                return
            time.sleep(CLAIMS_WAIT_S)

    def leave(self) -> None:
        """Delete what a process that helped has left, if the leader has deleted all else."""
        if (self.path / LOCK).exists() or (self.path / MANIFEST).exists():
            return
        shutil.rmtree(self.claims, ignore_errors=True)
        with suppress(OSError):
            self.path.rmdir()

    @contextmanager
    def joined(self, manifest: Manifest) -> Iterator[Workspace]:
        """Join the same edit in a process that does not hold the lock.

        Raises:
            SettingsError: the edit in this folder is a different one.
            FileNotFoundError: there is no edit in this folder.
        """
        self._set_roles(manifest)
        self._joined_text = (self.path / MANIFEST).read_text(encoding="utf-8")
        if differences := manifest.differences(json.loads(self._joined_text)):
            raise SettingsError(
                f"{self._out}: another process edits it with other settings "
                f"({join_words(differences)})"
            )
        try:
            yield self
        finally:
            with suppress(FileNotFoundError):
                self._delete_unfinished(of_others=False)

    @property
    def is_locked(self) -> bool:
        """Whether a process holds the lock."""
        try:
            with FileLock(self.path / LOCK, timeout=0):
                return False
        except FileNotFoundError:
            return False
        except Timeout:
            return True

    @property
    def claims(self) -> Path:
        """Folder of the claims on segments."""
        return self.path / CLAIMS

    def manifest(self) -> dict[str, Any] | None:
        """Return the manifest, or None if there is no readable one. Needs no lock."""
        with suppress(MediaError):
            return read_manifest(self.path / MANIFEST)
        return None

    def check(self, manifest: Manifest) -> None:
        """Check that the finished frames were made from the same clip with the same settings.

        If they were not, but there are only a preview's anchors, these are deleted.

        Raises:
            SettingsError: something differs; the message says what.
        """
        self._set_roles(manifest)
        earlier = self.manifest()
        differences = manifest.differences(earlier) if earlier is not None else []
        if differences and self.num_done:
            raise SettingsError(
                f"{self._out}: {self.num_done} frames are done with other settings "
                f"({join_words(differences)}): use those, or --restart to edit all frames again"
            )
        if differences:
            self.clear()

    def _set_roles(self, manifest: Manifest) -> None:
        self._roles = ("result",) if manifest.compare is None else ("result", "compare")

    def begin(self, manifest: Manifest) -> None:
        """Write the manifest; call `check` first."""
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
            if match is not None and match[4] and not match[6] and role in (None, match[1])
        ]

    def new_path(self, role: str, first: int, end: int | None = None) -> Path:
        """Return the path to which this process writes a part before sealing it."""
        span = f"{first:08d}" if end is None else f"{first:08d}-{end:08d}"
        return self.path / f"{role}-{span}.by-{Owner.me().name}.{SUFFIXES[role]}"

    def seal(self, path: Path) -> None:
        """Rename a complete part from its `new_path` to the name with its hash.

        Raises:
            SettingsError: a different edit has started here since this process joined.
            FileNotFoundError: the edit has ended.
        """
        joined, now = self._joined_text, self.path / MANIFEST
        if joined is not None and joined != now.read_text(encoding="utf-8"):
            raise SettingsError(f"{self._out}: another edit has begun there; this one ends")
        span = path.name.partition(".")[0]
        sealed = path.with_name(f"{span}.{_hash(path)}{path.suffix}")
        path.replace(sealed)
        for other, match in self._ours():
            if other.name.startswith(f"{span}.") and match and match[4] and other != sealed:
                other.unlink(missing_ok=True)

    def anchors(self, first: int) -> Path | None:
        """Return the file with the anchors of the shot that begins at `first`, or None."""
        return next((part.path for part in self.parts("anchors") if part.first == first), None)

    def part_of(self, role: str, output: Path) -> Path:
        """Return a path for writing an output before it is renamed.

        It is in the workspace if that is on the output's file system, otherwise beside the output.
        """
        if nearest_folder(output).stat().st_dev == self.path.stat().st_dev:
            return self.path / f"{role}.part"
        return beside(output, ".fairy.part", hidden=True)

    def keep(self, first: int, images: Image) -> None:
        """Write edited frames, uint8 (F,H,W,3), to disk; `first` is the first one's index."""
        path = self.new_path("frames", first, first + len(images))
        # If NumPy writes the file itself, the error for a full disk lacks the system's reason
        content = io.BytesIO()
        np.save(content, images, allow_pickle=False)
        _write_synced(path, content.getbuffer())
        self.seal(path)

    def kept(self, indices: range) -> dict[int, Image]:
        """Return the kept edited frames among `indices`, uint8 (H,W,3), by index."""
        kept: dict[int, Image] = {}
        for part in self.parts("frames"):
            if part.first < indices.stop and indices.start < part.end:
                # Another worker may have encoded and deleted them in the meantime
                with suppress(FileNotFoundError):
                    images = np.load(part.path, allow_pickle=False)
                    kept |= dict(zip(range(part.first, part.end), images, strict=True))
        return {index: image for index, image in kept.items() if index in indices}

    def drop_kept(self, indices: range) -> None:
        """Delete the kept frames at `indices`, once they are encoded."""
        for part in self.parts("frames"):
            if indices.start <= part.first and part.end <= indices.stop:
                part.path.unlink(missing_ok=True)

    def remember(self, path: Path) -> None:
        """Record a finished file or folder before it is renamed to an output."""
        with (self.path / PUBLISHED).open("a", encoding="ascii") as file:
            file.write(f"{_identity(path)}\n")
            write_through(file)

    def wrote(self, path: Path) -> bool:
        """Return whether this job wrote `path`: it may have been stopped just after that."""
        published = self.path / PUBLISHED
        if not published.is_file() or not path.exists():
            return False
        return _identity(path) in published.read_text(encoding="ascii").split()

    def clear(self) -> None:
        """Delete everything that the job wrote here, except the lock."""
        for path, _ in self._ours():
            _delete(path)
        for name in (PUBLISHED, MANIFEST):
            (self.path / name).unlink(missing_ok=True)

    def _check_ours(self) -> None:
        """Raise MediaError for a folder of this name that has files but no manifest."""
        if not self.path.exists():
            return
        if (self.path / MANIFEST).exists():
            read_manifest(self.path / MANIFEST)
            return
        known = (LOCK, CLAIMS, f"{MANIFEST}.part")
        if any(path.name not in known for path in self.path.iterdir()):
            raise MediaError(
                f"{self.path}: Fairy keeps its work in a folder of this name, but this one is not "
                "Fairy's: rename it, or give another output"
            )

    def _delete_unfinished(self, *, of_others: bool = True) -> None:
        """Delete unfinished files of this process and of processes that have ended."""
        me = Owner.me().name
        for path, match in self._ours():
            if match is not None and match[4] and not match[6]:
                continue
            writer = match[5] if match is not None else None
            if writer == me or (of_others and not (writer and may_live(writer))):
                _delete(path)

    def _delete_damaged(self) -> None:
        for part in self.parts():
            if _hash(part.path) != part.hash:
                logger.warning("%s: damaged; its frames are made again", part.path)
                part.path.unlink()

    def _ours(self) -> Iterator[tuple[Path, re.Match[str] | None]]:
        """Yield each file that is named like a part, finished or not, with its name's fields."""
        for path in sorted(self.path.iterdir()):
            match = _PART.fullmatch(path.name)
            if match is not None or path.name in _UNFINISHED:
                yield path, match


def _write_synced(path: Path, content: bytes | memoryview) -> None:
    with path.open("wb") as file:
        file.write(content)
        write_through(file)


def _hash(path: Path) -> str:
    """Return the first 16 digits of the file's SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()[:16]


def _identity(path: Path) -> str:
    """Return an identity of a file or folder that survives renaming."""
    stat = path.stat()
    return f"{stat.st_ino}" if path.is_dir() else f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
