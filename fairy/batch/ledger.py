"""Record the outcome of each job of a list in files that any number of machines share.

The root is on any file system that fsspec supports. `done/AB/ID.json` and `failed/AB/ID.json` hold
the results; AB are the first two digits of the job's ID. The record of a failure after the first
attempt has the attempt's number, `failed/AB/ID.2.json`: a process that lets a job be tried again
deletes the failure that it saw, and no later one. `claims/` records who works on what
(`fairy.jobs.claims`). There is no other state that could contradict these files. A record that
cannot be read, for instance an empty one after a power cut, counts as absent.
Tests: tests/batch/test_ledger.py.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fsspec.implementations.local import LocalFileSystem

from fairy.batch.addresses import FileState, Listing, is_address
from fairy.batch.answers import JobResult
from fairy.batch.joblist import Job
from fairy.errors import SettingsError
from fairy.jobs.claims import LEASE_S, Claims, Owner, exists, file_system
from fairy.jobs.manifest import clip_files
from fairy.jobs.retries import retried

logger = logging.getLogger(__name__)

State = Literal["done", "failed"]
STATES: tuple[State, ...] = ("done", "failed")

# Who lists the records again and again lets so many times as long pass as the last listing took
LISTING_SHARE = 20
# Where a worker computes; each may have its own
_WHERE = frozenset({"device", "anchor_cache_device"})


def job_id(job: Job, clip: Sequence[FileState]) -> str:
    """Return a hash of a job's clip in its present state, instruction, settings and output.

    Args:
        job: the job.
        clip: state of each of its clip's files (`clip_state`).
    """
    files: Sequence[object] = clip or [job.source_name]
    settings = sorted(
        (name, value) for name, value in asdict(job.config).items() if name not in _WHERE
    )
    out = job.out_name if is_address(job.out_name) else str(job.out.absolute())
    text = repr((files, job.instruction, settings, out))
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]


def clip_state(job: Job, listing: Listing) -> list[FileState]:
    """Return the state of each file of a job's clip; nothing if there is no clip.

    Raises:
        ConnectionError: the clip is at an address, and the server does not answer.
    """
    if is_address(job.source_name):
        return listing.files(job.source_name)
    with suppress(OSError):
        files = clip_files(job.source)
        return [(str(file.path), file.size_bytes, file.modified_ns) for file in files]
    return []


@dataclass(frozen=True)
class BatchStatus:
    """Progress of a list.

    Attributes:
        done: number of finished jobs.
        failed: number of jobs that were set aside.
        running: number of jobs that a live worker has claimed.
        num_frames: frames of the finished jobs.
        seconds: time that they took, summed over workers.
        failures: records of the failed jobs.
    """

    done: int
    failed: int
    running: int
    num_frames: int
    seconds: float
    failures: tuple[dict[str, Any], ...]

    @property
    def frames_per_second(self) -> float:
        """Mean speed of one worker."""
        return self.num_frames / self.seconds if self.seconds else 0.0

    def to_json(self) -> str:
        """Return the status as one line of JSON."""
        speed = {"frames_per_second": round(self.frames_per_second, 3)}
        return json.dumps(asdict(self) | speed, ensure_ascii=False)


class Ledger:
    """The records of one list.

    Args:
        root: a folder, or a URL that fsspec supports; created if it is missing.
        lease_s: as in `Claims`.
        coordinator: as in `Claims`.

    Attributes:
        root: the same.
    """

    def __init__(self, root: str, lease_s: float = LEASE_S, *, coordinator: bool = False) -> None:
        self.root = root
        self._fs, self._root = file_system(root)
        self._is_local = isinstance(self._fs, LocalFileSystem)
        self._damaged: set[str] = set()
        retried(lambda: self._fs.makedirs(f"{self._root}/claims", exist_ok=True))
        self.claims = Claims(f"{root}/claims", lease_s, coordinator=coordinator)

    @classmethod
    def of_existing(cls, root: str, name: str) -> Ledger:
        """Open the records of a list that has been started.

        Raises:
            SettingsError: there are none; the message names the folder or address `name`.
        """
        fs, path = file_system(root)
        if not exists(fs, f"{path}/claims"):
            raise SettingsError(f"{name}: no shared list was run there (fairy batch ... -o {name})")
        return cls(root)

    def ended(self) -> dict[str, State]:
        """Return the state of each job that is done or set aside, by ID."""
        # A job that is done counts once, even if another worker has failed with it
        return {_id_of(path): state for state in reversed(STATES) for path in self._paths(state)}

    def num_deaths(self, identity: str) -> int:
        """Return how many workers died during a job, or lost their claim on it.

        Those before the job was last tried again on request (`retry`) do not count.
        """
        attempts = self.claims.attempts(identity)
        reopened = max((one.number for one in attempts if one.reopens), default=-1)
        return sum(
            one.died or (self.claims.is_free(one) and not one.given_back and not one.by_coordinator)
            for one in attempts[reopened + 1 :]
        )

    def has_ended(self, identity: str) -> bool:
        """Return whether a job is done or set aside, without listing all others."""
        with suppress(FileNotFoundError):
            done = f"{self._root}/done/{identity[:2]}/{identity}.json"
            if retried(lambda: self._fs.info(done))["size"]:
                return True
        failed = self._paths("failed", identity[:2])
        return any(_id_of(path) == identity for path in failed)

    def record(self, identity: str, state: State, result: Mapping[str, Any]) -> None:
        """Record how a job ended."""
        number = (self.claims.number(identity) or 0) if state == "failed" else 0
        name = f"{identity}.{number}.json" if number else f"{identity}.json"
        folder = f"{self._root}/{state}/{identity[:2]}"
        content = json.dumps(dict(result), ensure_ascii=False).encode(errors="backslashreplace")
        retried(lambda: self._write(folder, name, content))
        self.claims.keep(identity)

    def _write(self, folder: str, name: str, content: bytes) -> None:
        self._fs.makedirs(folder, exist_ok=True)
        if self._is_local:
            part = Path(folder, f".{name.partition('.')[0]}.{Owner.me().name}.part")
            part.write_bytes(content)
            part.replace(Path(folder, name))
        else:
            # Object stores have no rename, and show an object only once it is whole
            self._fs.pipe_file(f"{folder}/{name}", content)

    def retry(self, identities: Iterable[str]) -> None:
        """Let those jobs be tried again that failed.

        Any number of processes may do this at once, beside workers, and be killed in the middle.
        """
        wanted = set(identities)
        failed: dict[str, dict[int, str]] = {}
        for path in self._paths("failed"):
            if (identity := _id_of(path)) in wanted:
                failed.setdefault(identity, {})[_attempt_of(path)] = path
        for identity, paths in failed.items():
            # Until its failure is deleted, no worker takes the job
            self.claims.reopen(identity, max(paths))
            for path in paths.values():
                self._delete(path)

    def _delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            retried(lambda: self._fs.rm_file(path))

    def results(self, identities: Iterable[str]) -> list[JobResult]:
        """Return the results of those jobs that have ended.

        Damaged records on disk are deleted, so that the next run of the list does these jobs again.
        """
        wanted = set(identities)
        records = self._records(lambda identity: identity in wanted)
        # Elsewhere a record that is being written might look like one
        while self._is_local and self._damaged:
            self._delete(self._damaged.pop())
        return [JobResult(**record) for state in STATES for record in records[state].values()]

    def status(self) -> BatchStatus:
        """Count the list's jobs by state."""
        records = self._records(lambda identity: True)
        done, failures = (list(records[state].values()) for state in STATES)
        running = [
            name
            for name, attempt in self.claims.all().items()
            if not any(name in records[state] for state in STATES)
            and not self.claims.is_free(attempt)
        ]
        return BatchStatus(
            done=len(done),
            failed=len(failures),
            running=len(running),
            num_frames=sum(record.get("num_frames", 0) for record in done),
            seconds=round(sum(record.get("seconds", 0.0) for record in done), 3),
            failures=tuple(failures),
        )

    def _records(self, is_wanted: Callable[[str], bool]) -> dict[State, dict[str, dict[str, Any]]]:
        """Return the records of each state by ID; a job that is done has not failed."""
        found: dict[State, dict[str, dict[str, Any]]] = {}
        for state in STATES:
            found[state] = {}
            for path in self._paths(state):
                identity = _id_of(path)
                if not is_wanted(identity) or identity in found["done"]:
                    continue
                if (record := self._read(path)) is not None:
                    found[state][identity] = record
        return found

    def _read(self, path: str) -> dict[str, Any] | None:
        """Return a record; None if it is damaged, or was deleted since it was listed."""
        try:
            record = json.loads(retried(lambda: self._fs.cat_file(path)))
        except FileNotFoundError:
            return None
        except ValueError:
            record = None
        if isinstance(record, dict):
            return record
        if path not in self._damaged:
            self._damaged.add(path)
            logger.warning("%s: damaged; the next run of the list does its job again", path)
        return None

    def _paths(self, state: State, start: str = "") -> list[str]:
        """Return the records of a state in order; of one folder if IDs begin with its name."""
        folder = f"{self._root}/{state}/{start}".rstrip("/")
        with suppress(FileNotFoundError):
            sizes = retried(lambda: self._sizes(folder))
            # An empty one was lost in a power cut
            return sorted(path for path, size in sizes.items() if size and path.endswith(".json"))
        return []

    def _sizes(self, folder: str) -> dict[str, int]:
        """Return the size of each file below a folder, by path."""
        if self._is_local:
            return dict(_sizes_here(folder))
        entries = self._fs.find(folder, detail=True)
        return {path: entry["size"] for path, entry in entries.items()}


def _sizes_here(folder: str) -> Iterator[tuple[str, int]]:
    # fsspec leaves out folders whose listing fails, and their jobs would be run again
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{folder}/{entry.name}"
            if entry.is_dir():
                yield from _sizes_here(path)
                continue
            # A record is renamed once it is whole
            with suppress(FileNotFoundError):
                yield path, entry.stat().st_size


def _attempt_of(path: str) -> int:
    """Return the attempt that a failure's record is of."""
    number = path.rsplit("/", 1)[-1].split(".")[1]
    return int(number) if number.isdecimal() else 0


def _id_of(path: str) -> str:
    return path.rsplit("/", 1)[-1].partition(".")[0]
