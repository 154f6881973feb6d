"""Share a list of edits among any number of processes, on any machines that see one folder.

Each process takes a free job, runs it and records the result (`fairy.jobs.ledger`), until every
job is done or set aside. No process hands out the work, so a worker may join, end or be killed at
any time. A job is set aside if it fails, or if several workers died while running it.
Tests: tests/jobs/test_shared_batch.py.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import fsspec

from fairy.errors import FairyError, JobInterrupted, SettingsError
from fairy.interrupt import Cancel
from fairy.jobs.batch import JobResult, Runner, make_jobs, result_of
from fairy.jobs.joblist import Job, read_lines
from fairy.jobs.ledger import Ledger, is_address, job_id
from fairy.jobs.manifest import clip_files
from fairy.jobs.team import POLL_S, Rank, end_all
from fairy.settings import BatchOptions, EditConfig
from fairy.system import end_with_parent

logger = logging.getLogger(__name__)

# Folder of the records, below the root
RECORDS = ".fairy"
# Exit code of a worker whose job took too long
TIMED_OUT = 70
# A worker that has died this often, with no job finished in between, is not restarted
MAX_DEATHS_IN_A_ROW = 4
# If this many jobs fail before any succeeds, the cause is the set-up, not the jobs
ALL_FAIL = 20

OnResult = Callable[[JobResult], None]


class NoProgressError(FairyError):
    """No job succeeds, so the cause is the set-up, not the jobs."""


@dataclass(frozen=True, kw_only=True)
class SharedBatch:
    """What every worker of a list knows.

    Attributes:
        path: the list.
        defaults: settings for what a line leaves out.
        options: how the jobs are shared.
    """

    path: Path
    defaults: EditConfig
    options: BatchOptions

    @property
    def root(self) -> str:
        """Folder or address of outputs and records; by default beside the list."""
        return self.options.out or str(self.path.with_name(f"{self.path.name}.fairy"))

    def ledger(self) -> Ledger:
        """Open the records."""
        root = self.root.rstrip("/")
        return Ledger(f"{root}/{RECORDS}" if self.options.out else root, self.options.lease)


def run_shared_batch(
    batch: SharedBatch, *, on_result: OnResult, cancel: Cancel | None = None
) -> list[JobResult]:
    """Run a list's jobs, alone or with local workers, until all have ended.

    Returns:
        The results of all jobs, including those that other processes ran.

    Raises:
        SettingsError: the list cannot be read.
        NoProgressError: the first jobs all fail, or workers die without finishing any.
    """
    ledger, refused = batch.ledger(), list[JobResult]()
    ledger.claims.check_exclusive()
    jobs = numbered(batch, refused.append)
    for result in refused:
        on_result(result)
    if batch.options.retry_failed:
        ledger.retry(jobs)
    if batch.options.workers == 1:
        work(batch, jobs, on_result, cancel or Cancel())
    else:
        _supervise(batch, jobs, on_result, cancel or Cancel())
    return refused + ledger.results(jobs)


def numbered(batch: SharedBatch, refuse: OnResult) -> dict[str, Job]:
    """Return the valid jobs by ID, in the order in which to run them."""
    jobs = make_jobs(read_lines(batch.path), batch.defaults, refuse, into=batch.options.out)
    if batch.options.order == "longest":
        jobs = sorted(jobs, key=_num_bytes, reverse=True)
    return {job_id(job): job for job in jobs}


def _num_bytes(job: Job) -> int:
    """Return the size of a job's clip, a proxy for its length; 0 if there is no clip."""
    with suppress(OSError):
        return sum(file.size_bytes for file in clip_files(job.source))
    return 0


def work(batch: SharedBatch, jobs: dict[str, Job], on_result: OnResult, cancel: Cancel) -> None:
    """Take free jobs until all have ended."""
    ledger = batch.ledger()
    last: list[JobResult] = []
    runner = Runner(last.append, cancel)
    num_failed, any_done = 0, False
    with ledger.claims:
        while left := _left(jobs, ledger):
            cancel.check()
            name = _take_any(ledger, left, batch.options.max_attempts, jobs, on_result)
            if name is None:
                time.sleep(POLL_S)
                continue
            with _watched(batch.options.clip_timeout, jobs[name]), _local(jobs[name]) as job:
                runner.run([job])
            result = replace(last[-1], output=str(jobs[name].out))
            ledger.record(name, "failed" if result.state == "failed" else "done", asdict(result))
            on_result(result)
            any_done |= result.state != "failed"
            num_failed += result.state == "failed"
            if num_failed >= ALL_FAIL and not any_done:
                raise NoProgressError(
                    f"the first {num_failed} jobs all failed, the last one with: {result.error}"
                )


def _left(jobs: Iterable[str], ledger: Ledger) -> list[str]:
    ended = ledger.ended()
    return [name for name in jobs if name not in ended]


def _take_any(
    ledger: Ledger,
    names: Sequence[str],
    max_attempts: int,
    jobs: dict[str, Job],
    on_result: OnResult,
) -> str | None:
    """Claim the first free job; set aside jobs with too many dead workers."""
    for name in names:
        if ledger.claims.take(name) is None:
            continue
        num_deaths = ledger.num_deaths(name)
        # Another worker may have ended it since `names` was read
        if name in ledger.ended():
            ledger.claims.keep(name)
        elif num_deaths >= max_attempts:
            error = (
                f"{num_deaths} workers died with it or took too long; --retry-failed tries again"
            )
            result = result_of(jobs[name], "failed", error=error)
            ledger.record(name, "failed", asdict(result))
            on_result(result)
        else:
            return name
    return None


@contextmanager
def _local(job: Job) -> Iterator[Job]:
    """Yield the job with a local output; upload it afterwards if the output is an address."""
    if not is_address(job.out_name):
        job.out.parent.mkdir(parents=True, exist_ok=True)
        yield job
        return
    with tempfile.TemporaryDirectory(prefix="fairy-") as folder:
        out = Path(folder, job.out.name)
        yield replace(job, out=out)
        if out.exists():
            fs, path = fsspec.core.url_to_fs(job.out_name)
            fs.put(str(out), path, recursive=out.is_dir())


@contextmanager
def _watched(timeout_s: float | None, job: Job) -> Iterator[None]:
    """End this process if the block takes too long; hanging code cannot be stopped otherwise."""
    if timeout_s is None:
        yield
        return

    def end() -> None:
        logger.error("%s: not done after %g s: the worker ends", job.source, timeout_s)
        os._exit(TIMED_OUT)

    timer = threading.Timer(timeout_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _supervise(
    batch: SharedBatch, jobs: dict[str, Job], on_result: OnResult, cancel: Cancel
) -> None:
    """Restart workers that die until all jobs have ended; report each job that ends."""
    ledger, count = batch.ledger(), batch.options.workers
    reported = set(ledger.ended())
    context = multiprocessing.get_context("spawn")

    def start(number: int) -> BaseProcess:
        rank = Rank(number, count, number, count, "batch")
        worker = context.Process(target=_work_in_process, args=(batch, rank), daemon=True)
        worker.start()
        return worker

    workers = [start(number) for number in range(count)]
    deaths = [0] * count
    try:
        while set(jobs) - reported:
            cancel.check()
            if fresh := ledger.ended().keys() - reported:
                for result in ledger.results(fresh):
                    on_result(result)
                reported |= fresh
                deaths = [0] * count
                continue
            for number, worker in enumerate(workers):
                if worker.exitcode is not None and deaths[number] < MAX_DEATHS_IN_A_ROW:
                    deaths[number] += 1
                    workers[number] = start(number)
            if not any(worker.is_alive() for worker in workers):
                raise NoProgressError("the workers end without finishing a job")
            time.sleep(POLL_S)
        for worker in workers:
            worker.join()
    finally:
        end_all(workers)


def _work_in_process(batch: SharedBatch, rank: Rank) -> None:
    """Run jobs in a worker process, and end when the process that started it ends."""
    end_with_parent()
    batch = replace(batch, defaults=rank.config(batch.defaults))
    try:
        with Cancel().on_signals() as cancel:
            jobs = numbered(batch, lambda result: None)
            work(batch, jobs, lambda result: None, cancel)
    except JobInterrupted:
        pass
    except FairyError as error:
        logger.error("worker %d: %s", rank.number, error)


def check_list(batch: SharedBatch) -> None:
    """Check that the options fit together.

    Raises:
        SettingsError: the output is an address, but the list is not shared (`cluster`).
    """
    if batch.options.out and is_address(batch.options.out) and not batch.options.cluster:
        raise SettingsError("-o with an address keeps its records there: add --cluster shared")
