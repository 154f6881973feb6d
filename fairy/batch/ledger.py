"""Record the outcome of each job of a list in files that any number of machines share.

The root is on any file system that fsspec supports. `done/AB/ID.json` and `failed/AB/ID.json` hold
the results; AB are the first two digits of the job's ID. `claims/` records who works on what
(`fairy.jobs.claims`). There is no other state that could contradict these files.
Tests: tests/batch/test_ledger.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fsspec.implementations.local import LocalFileSystem

from fairy.batch.addresses import FileState, Listing, is_address
from fairy.batch.answers import JobResult
from fairy.batch.joblist import Job
from fairy.errors import SettingsError
from fairy.jobs.claims import LEASE_S, Claims, Owner, file_system
from fairy.jobs.manifest import clip_files

State = Literal["done", "failed"]
STATES: tuple[State, ...] = ("done", "failed")


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
        self._fs.makedirs(f"{self._root}/claims", exist_ok=True)
        self.claims = Claims(f"{root}/claims", lease_s, coordinator=coordinator)

    @classmethod
    def of_existing(cls, root: str, name: str) -> Ledger:
        """Open the records of a list that has been started.

        Raises:
            SettingsError: there are none; the message names the folder or address `name`.
        """
        fs, path = file_system(root)
        if not fs.exists(f"{path}/claims"):
            raise SettingsError(f"{name}: no shared list was run there (fairy batch ... -o {name})")
        return cls(root)

    def ended(self) -> dict[str, State]:
        """Return the state of each job that is done or set aside, by ID."""
        return {_id_of(path): state for state in STATES for path in self._paths(state)}

    def num_deaths(self, identity: str) -> int:
        """Return how many workers died during a job, or lost their claim on it."""
        return sum(
            one.died or (self.claims.is_free(one) and not one.given_back and not one.by_coordinator)
            for one in self.claims.attempts(identity)
        )

    def has_ended(self, identity: str) -> bool:
        """Return whether a job is done or set aside, without listing the others."""
        return any(self._fs.exists(self._path(identity, state)) for state in STATES)

    def record(self, identity: str, state: State, result: Mapping[str, Any]) -> None:
        """Record how a job ended."""
        path = self._path(identity, state)
        folder = path.rpartition("/")[0]
        self._fs.makedirs(folder, exist_ok=True)
        content = json.dumps(dict(result), ensure_ascii=False).encode(errors="backslashreplace")
        if isinstance(self._fs, LocalFileSystem):
            part = Path(folder, f".{identity}.{Owner.me().name}.part")
            part.write_bytes(content)
            part.replace(path)
        else:
            # Object stores have no rename, and show an object only once it is whole
            self._fs.pipe_file(path, content)
        self.claims.keep(identity)

    def retry(self, identities: Iterable[str]) -> None:
        """Delete the records and attempts of those jobs that failed."""
        failed = {_id_of(path): path for path in self._paths("failed")}
        for identity in failed.keys() & set(identities):
            for attempt in self.claims.attempts(identity):
                self._fs.rm_file(attempt.path)
            self._fs.rm_file(failed[identity])

    def results(self, identities: Iterable[str]) -> list[JobResult]:
        """Return the results of those jobs that have ended."""
        wanted = set(identities)
        return [
            JobResult(**json.loads(self._fs.cat_file(path)))
            for state in STATES
            for path in self._paths(state)
            if _id_of(path) in wanted
        ]

    def status(self) -> BatchStatus:
        """Count the list's jobs by state."""
        done, failures = (
            [json.loads(self._fs.cat_file(path)) for path in self._paths(state)] for state in STATES
        )
        ended = self.ended()
        running = [
            name
            for name, attempt in self.claims.all().items()
            if name not in ended and not self.claims.is_free(attempt)
        ]
        return BatchStatus(
            done=len(done),
            failed=len(failures),
            running=len(running),
            num_frames=sum(record.get("num_frames", 0) for record in done),
            seconds=round(sum(record.get("seconds", 0.0) for record in done), 3),
            failures=tuple(failures),
        )

    def _path(self, identity: str, state: State) -> str:
        return f"{self._root}/{state}/{identity[:2]}/{identity}.json"

    def _paths(self, state: State) -> list[str]:
        folder = f"{self._root}/{state}"
        if not self._fs.exists(folder):
            return []
        return sorted(path for path in self._fs.find(folder) if path.endswith(".json"))


def _id_of(path: str) -> str:
    return path.rsplit("/", 1)[-1].removesuffix(".json")
