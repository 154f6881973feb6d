"""Run jobs of a list one at a time with a model that stays loaded.

The same object works in a process of `fairy batch --cluster shared` and in an actor of Ray. What
it returns is small: no frame leaves its process. Tests: tests/batch/test_clip_worker.py.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import torch

from fairy.batch.addresses import fetched, is_address, local_name, temporary_folder, upload
from fairy.batch.answers import FailureKind, JobResult, WorkerIdentity, result_of
from fairy.batch.joblist import Job
from fairy.batch.runner import Runner, failure_kind
from fairy.batch.watch import ended_after, ended_if_stuck
from fairy.errors import FairyError, first_line
from fairy.interrupt import Cancel
from fairy.jobs.claims import LEASE_S
from fairy.jobs.ranks import help_edit, is_led
from fairy.jobs.team import Rank, Team
from fairy.media.read import probe
from fairy.settings import EditConfig
from fairy.system import versions

logger = logging.getLogger(__name__)

# How long to wait for a worker that has lost its claim but still writes the same output
BUSY_S = 60.0
# A worker that could not help with a long clip tries it again after this time
HELP_AGAIN_S = 60.0
# Exit code of a worker whose GPU fails: only a new process can use it again
DEVICE_LOST = 70


class ClipWorker:
    """Runs jobs, one at a time.

    Args:
        threads: CPU threads for torch; None leaves them as they are.
        split_frames: other workers may help with jobs of more frames.
        cancel: stops a job; its finished frames are kept.
        clip_timeout: ends the process if a job takes more seconds; without it, if a job is stuck.
        lease_s: how long the segments of a worker that was lost elsewhere stay its own.
    """

    def __init__(
        self,
        threads: int | None = None,
        split_frames: float = math.inf,
        cancel: Cancel | None = None,
        clip_timeout: float | None = None,
        lease_s: float = LEASE_S,
    ) -> None:
        self._split_frames, self._clip_timeout = split_frames, clip_timeout
        self._lease_s = lease_s
        if threads is not None:
            torch.set_num_threads(threads)
        self._results: list[JobResult] = []
        # By output: until when this worker does not help with it
        self._help_again_s: dict[str, float] = {}
        self._cancel = cancel or Cancel()
        self._runner = self._new_runner()

    def _new_runner(self) -> Runner:
        return Runner(self._results.append, self._cancel, self._team_of, self._watch)

    def _watch(self, job: Job) -> AbstractContextManager[None]:
        """End this process if an edit hangs, unless the user gave a limit for the whole job."""
        if self._clip_timeout is not None:
            return nullcontext()
        return ended_if_stuck(job.source_name, self._cancel)

    def _team_of(self, job: Job) -> Team | None:
        """Return a team that other workers can join, for a long clip in a shared folder."""
        if is_address(job.out_name) or self.num_frames(job) <= self._split_frames:
            return None
        rank = Rank.of_open_team(0)
        return Team(rank, cancel=self._cancel, is_open=True, lease_s=self._lease_s)

    def help(self, job: Job) -> bool:
        """Edit segments of a long job that another worker leads; return whether there were any."""
        if is_address(job.out_name) or not is_led(job.request, self._lease_s):
            return False
        if time.monotonic() < self._help_again_s.get(job.out_name, -math.inf):
            return False
        try:
            editor = self._runner.model(job.config)
            with fetched(job.source_name) as source, self._watch(job):
                request = replace(job, source=source).request
                rank, lease_s = Rank.of_open_team(), self._lease_s
                help_edit(request, rank, self._cancel, editor=editor, lease_s=lease_s)
        except Exception as error:
            # Whatever it is, its leader edits the clip without help
            kind, reason = failure_kind(error), first_line(error)
            if not isinstance(error, FairyError | OSError):
                reason = f"{type(error).__name__}: {reason}"
            logger.warning("%s: cannot help: %s", job.source_name, reason)
            self._help_again_s[job.out_name] = time.monotonic() + HELP_AGAIN_S
            self._recover(job, kind, reason)
            return False
        return True

    def identity(self, config: EditConfig) -> WorkerIdentity:
        """Load the model of these settings and say what this worker is.

        Raises:
            FairyError: the model cannot be loaded here.
        """
        model = self._runner.model(config).identity()
        return WorkerIdentity(
            socket.gethostname(), versions(), f"{model.weights[:16]} {model.dtype}"
        )

    def num_frames(self, job: Job) -> int:
        """Return how many frames a job's clip has; 0 if that cannot be read, or is not here yet."""
        try:
            return probe(job.source, job.config).num_frames
        except Exception:
            return 0

    def edit(self, job: Job) -> JobResult:
        """Run a job; errors are in the result."""
        try:
            with ended_after(job.source_name, self._clip_timeout):
                result = self._finished(job)
        except OSError as error:
            reason = f"{error.filename or job.out_name}: {error.strerror or error}"
            result = result_of(job, "failed", error=reason, kind="storage")
        except FairyError as error:
            result = result_of(job, "failed", error=str(error), kind="input")
        self._recover(job, result.kind, result.error)
        return result

    def _recover(self, job: Job, kind: FailureKind | None, reason: str | None) -> None:
        """Make this worker fit for the next job, or end it if only a new process is."""
        if kind == "device":
            logger.error("%s: %s: the worker ends", job.source_name, reason)
            os._exit(DEVICE_LOST)
        if kind == "memory":
            # A fresh model, without what the failed edit left on the device
            self._runner = self._new_runner()

    def _finished(self, job: Job) -> JobResult:
        until = time.monotonic() + BUSY_S
        while True:
            with local_output(job) as local:
                self._runner.run([local])
            result = self._results.pop()
            if result.kind != "busy" or time.monotonic() > until:
                return result
            self._cancel.check()
            time.sleep(1)


@contextmanager
def local_output(job: Job) -> Iterator[Job]:
    """Yield the job with a local output; upload it afterwards if the output is an address."""
    if not is_address(job.out_name):
        job.out.parent.mkdir(parents=True, exist_ok=True)
        yield job
        return
    with temporary_folder() as folder:
        out = folder / local_name(job.out_name)
        yield replace(job, out=out)
        if not out.exists():
            return
        try:
            upload(out, job.out_name)
        except (OSError, FairyError):
            _delete_side_outputs(job)
            raise


def _delete_side_outputs(job: Job) -> None:
    """Delete what this try wrote beside its output, which would be in the way of the next."""
    if job.run.overwrite:
        return
    for path in (job.run.compare, job.run.report, job.run.save_masks):
        if path is not None and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path is not None:
            path.unlink(missing_ok=True)
