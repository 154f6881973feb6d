"""The folder beside OUT that holds what is done of a job until all of it is: `OUT.fairy`.

- `manifest.json`: what the parts depend on (`fairy.jobs.manifest`);
- `result-A-B.segment`, `compare-A-B.segment`: frames A to B - 1, encoded
  (`fairy.media.encoding.segments`);
- `frames-A-B.npy`: edited frames that are in no segment yet, uint8 (F,H,W,3) at the model's size;
- `anchors-A.safetensors`: a preview's anchors of the shot that begins at A;
- `published`: what tells the outputs from other files, once they are whole;
- `*.part`: being written; `lock`: held by the process that works here.

A part gets its name once it is whole and on the disk, so a kill or a power cut costs what was
being computed and nothing else. Only files of these names are ever deleted.
Tests: tests/jobs/test_workspace.py.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from filelock import FileLock, Timeout

from fairy.errors import MediaError, SettingsError
from fairy.jobs.manifest import Manifest, join_words, read_manifest
from fairy.media.colours import Image

MANIFEST = "manifest.json"
LOCK = "lock"
PUBLISHED = "published"
_PART = re.compile(r"(result|compare|frames|anchors)-(\d{8})(-(\d{8}))?\.(segment|npy|safetensors)")


@dataclass(frozen=True)
class Part:
    """Frames `first` to `end` - 1 in one file."""

    path: Path
    first: int
    end: int


class Workspace:
    """The folder of one job; a context manager that holds its lock.

    Args:
        out: the output that the job writes.

    Attributes:
        path: the folder.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.path = out.with_name(f"{out.name}.fairy")
        self._lock = FileLock(self.path / LOCK)
        self._roles: tuple[str, ...] = ("result",)

    def __enter__(self) -> Workspace:
        """Make the folder and lock it.

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
        self._drop_unfinished()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the lock; what is done stays, and a folder with nothing done goes."""
        self._drop_unfinished()
        if self.num_done or self.has_anchors:
            self._lock.release()
            return
        self.clear()
        # Before it is let go, so that nobody gets a lock that is about to be deleted; Windows
        # deletes no open file.
        with suppress(PermissionError):
            (self.path / LOCK).unlink()
        self._lock.release()
        (self.path / LOCK).unlink(missing_ok=True)
        # Something of the user's, or of the next process, may stand in it.
        with suppress(OSError):
            self.path.rmdir()

    def check(self, manifest: Manifest) -> None:
        """Refuse to go on where the clip or a setting is not what the finished frames had.

        A preview's anchors are no reason to refuse: they are deleted then.

        Raises:
            SettingsError: with what differs.
        """
        self._roles = ("result",) if manifest.compare is None else ("result", "compare")
        path = self.path / MANIFEST
        earlier = read_manifest(path) if path.exists() else None
        differences = manifest.differences(earlier) if earlier is not None else []
        if differences and self.num_done:
            raise SettingsError(
                f"{self._out}: {self.num_done} frames are done with other settings "
                f"({join_words(differences)}): use those, or --restart to begin anew"
            )
        if differences:
            self.clear()

    def begin(self, manifest: Manifest) -> None:
        """Put the manifest of a checked job in place."""
        part = self.path / f"{MANIFEST}.part"
        with part.open("wb") as file:
            file.write(manifest.to_json().encode(errors="backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path / MANIFEST)

    @property
    def num_done(self) -> int:
        """Frames from the start of the clip that are edited and kept here."""
        end = self.num_encoded
        for part in self._parts("frames"):
            end = part.end if part.first <= end < part.end else end
        return end

    @property
    def num_encoded(self) -> int:
        """Frames from the start of the clip that are in segments, of every output."""
        ends = [{part.end for part in self._parts(role)} for role in self._roles]
        return max(set.intersection(*ends), default=0)

    @property
    def has_anchors(self) -> bool:
        """Whether a preview left its anchors here."""
        return any(path.name.startswith("anchors-") for path in self._ours())

    def segments(self, role: str) -> list[Path]:
        """Return the finished segments of an output, "result" or "compare", in order."""
        return [part.path for part in self._parts(role)]

    def segment_path(self, role: str, first: int, end: int) -> Path:
        """Return where the segment of frames `first` to `end` - 1 is to be written."""
        return self.path / f"{role}-{first:08d}-{end:08d}.segment"

    def part_of(self, role: str, output: Path) -> Path:
        """Return where an output is written before it is renamed: here, or beside it if need be."""
        if output.parent.stat().st_dev == self.path.stat().st_dev:
            return self.path / f"{role}.part"
        return output.with_name(f".{output.name}.part")

    def anchors_path(self, first: int) -> Path:
        """Return where the anchors of the shot that begins at `first` are kept."""
        return self.path / f"anchors-{first:08d}.safetensors"

    def keep_frames(self, first: int, images: Image) -> None:
        """Put edited frames, uint8 (F,H,W,3), on the disk; `first` is the first one's number."""
        path = self.path / f"frames-{first:08d}-{first + len(images):08d}.npy"
        part = path.with_name(f"{path.name}.part")
        # NumPy writing to a file itself forgets the system's reason when the disk is full
        content = io.BytesIO()
        np.save(content, images, allow_pickle=False)
        with part.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def kept_frames(self) -> Iterator[Image]:
        """Yield the edited frames, uint8 (H,W,3), from `num_encoded` to `num_done`."""
        at = self.num_encoded
        for part in self._parts("frames"):
            if part.first <= at < part.end:
                yield from np.load(part.path, allow_pickle=False)[at - part.first :]
                at = part.end

    def remember(self, path: Path) -> None:
        """Note a finished file, or folder, that is about to be renamed to an output."""
        with (self.path / PUBLISHED).open("a", encoding="ascii") as file:
            file.write(f"{_identity(path)}\n")
            file.flush()
            os.fsync(file.fileno())

    def wrote(self, path: Path) -> bool:
        """Return whether `path` is an output of this job, which was stopped right after it."""
        published = self.path / PUBLISHED
        if not published.is_file() or not path.exists():
            return False
        return _identity(path) in published.read_text(encoding="ascii").split()

    def drop_frames(self, end: int) -> None:
        """Delete the kept frames that are before `end`: they are in segments."""
        for part in self._parts("frames"):
            if part.end <= end:
                part.path.unlink()

    def clear(self) -> None:
        """Delete what the job has written here, but the lock."""
        for path in self._ours():
            _delete(path)
        for name in (PUBLISHED, MANIFEST):
            (self.path / name).unlink(missing_ok=True)

    def _check_ours(self) -> None:
        """Refuse a folder of this name that holds things but no manifest."""
        if not self.path.exists():
            return
        if (self.path / MANIFEST).exists():
            read_manifest(self.path / MANIFEST)
            return
        if any(path.name not in (LOCK, f"{MANIFEST}.part") for path in self.path.iterdir()):
            raise MediaError(
                f"{self.path}: a folder that is not Fairy's stands where the work is kept: "
                "rename it, or give another output"
            )

    def _drop_unfinished(self) -> None:
        for path in self._ours():
            if path.suffix == ".part":
                _delete(path)

    def _ours(self) -> list[Path]:
        """Return the files in the folder that have a part's name, finished or not."""
        names = (f"{MANIFEST}.part", "result.part", "compare.part")
        return [
            path
            for path in sorted(self.path.iterdir())
            if path.name in names or _PART.fullmatch(path.name.removesuffix(".part"))
        ]

    def _parts(self, role: str) -> list[Part]:
        """Return the finished files of a role, in the order of their frames."""
        found = [(path, _PART.fullmatch(path.name)) for path in self._ours()]
        return [
            Part(path, int(match[2]), int(match[4]))
            for path, match in found
            if match is not None and match[1] == role and match[4] is not None
        ]


def _identity(path: Path) -> str:
    """Return what a file, or folder, keeps when it is renamed."""
    stat = path.stat()
    return f"{stat.st_ino}" if path.is_dir() else f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
