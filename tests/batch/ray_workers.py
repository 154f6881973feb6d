"""Workers for tests of Ray: they note what they do, and some die, freeze or lie on purpose.

`StandIn` edits nothing, so that an actor starts quickly; its results are files with one word.
What a job's output is called says what happens to its worker.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from fairy.batch.answers import JobResult, WorkerIdentity, result_of
from fairy.batch.joblist import Job
from fairy.settings import EditConfig
from fairy.system import versions

NUM_FRAMES = 6
BUSY_S = 6.0


def notes(folder: Path) -> list[list[str]]:
    """Return what workers noted: (output, process ID) for each time that a job was begun."""
    path = folder / "begun.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


class StandIn:
    """A worker that is done at once, or kills, freezes or delays itself."""

    def __init__(
        self, threads: int, split_frames: int, clip_timeout: float | None, lease_s: float
    ) -> None:
        self._versions = versions()

    def identity(self, config: EditConfig) -> WorkerIdentity:
        return WorkerIdentity("here", self._versions, "stand-in")

    def num_frames(self, job: Job) -> int:
        return NUM_FRAMES

    def edit(self, job: Job) -> JobResult:
        job.out.parent.mkdir(parents=True, exist_ok=True)
        with (job.out.parent / "begun.txt").open("a") as file:
            file.write(f"{job.out.name} {os.getpid()}\n")
        begun = sum(name == job.out.name for name, _ in notes(job.out.parent))
        word, _, _ = job.out.stem.partition("-")
        if word == "poison" or (word == "once" and begun == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "freeze" and begun == 1:
            # When it froze
            job.out.with_suffix(".frozen").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
            # Another thread may get the signal, and this one would go on for some milliseconds
            time.sleep(3600)
        if word == "slow":
            time.sleep(3)
        if word == "busy":
            until = time.monotonic() + BUSY_S
            while time.monotonic() < until:
                pass
        if word == "memory":
            return result_of(job, "failed", error="out of memory", kind="memory")
        return self.finish(job)

    def finish(self, job: Job) -> JobResult:
        job.out.write_text("done")
        return result_of(job, "done", num_frames=NUM_FRAMES, seconds=0.1)


class Other(StandIn):
    """A worker whose library differs from that of every other worker."""

    def identity(self, config: EditConfig) -> WorkerIdentity:
        mine = self._versions | {"torch": f"2.{os.getpid()}"}
        return replace(super().identity(config), versions=mine)


class Real(StandIn):
    """A worker that really edits all but "skip", and may kill itself before that."""

    def __init__(
        self, threads: int, split_frames: int, clip_timeout: float | None, lease_s: float
    ) -> None:
        from fairy.batch.clip_worker import ClipWorker

        self._worker = ClipWorker(threads, split_frames, lease_s=lease_s)

    def identity(self, config: EditConfig) -> WorkerIdentity:
        return self._worker.identity(config)

    def finish(self, job: Job) -> JobResult:
        return super().finish(job) if job.out.stem == "skip" else self._worker.edit(job)

    def num_frames(self, job: Job) -> int:
        return self._worker.num_frames(job)

    def help(self, job: Job) -> bool:
        with (job.out.parent / "helped.txt").open("a") as file:
            file.write(f"{os.getpid()}\n")
        return self._worker.help(job)
