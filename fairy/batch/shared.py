"""Share a list of edits among any number of processes, on any machines that see one folder.

Each process takes a free job, runs it and records the result (`fairy.batch.ledger`), until every
job is done or set aside. No process hands out the work, so a worker may join, end or be killed at
any time. A job is set aside if it fails, or if several workers died while running it.
Tests: tests/batch/test_shared.py.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from fairy.batch.addresses import Listing, is_address
from fairy.batch.answers import JobResult, result_of
from fairy.batch.clip_worker import RETRIED, ClipWorker
from fairy.batch.joblist import Job, read_lines
from fairy.batch.ledger import Ledger, clip_state, job_id
from fairy.batch.runner import files_of_list, make_jobs
from fairy.errors import FairyError, JobInterrupted, SettingsError
from fairy.interrupt import Cancel
from fairy.jobs.ranks import end_all
from fairy.jobs.team import POLL_S, Rank
from fairy.settings import BatchOptions, EditConfig
from fairy.system import end_with_parent

logger = logging.getLogger(__name__)

# Folder of the records, below the root
RECORDS = ".fairy"
# A worker that has died this often, with no job finished in between, is not restarted
MAX_DEATHS_IN_A_ROW = 4
# A listing of the records is used for so many seconds, and so many times as long as it took
LISTING_S = 10.0
LISTING_SHARE = 20

OnResult = Callable[[JobResult], None]
OnOpen = Callable[[Ledger, Collection[str]], None]


class NoProgressError(FairyError):
    """No job succeeds, so the cause is the set-up, not the jobs."""


@dataclass(frozen=True, kw_only=True)
class SharedBatch:
    """What every worker of a list knows.

    Attributes:
        path: the list.
        defaults: settings for what a line leaves out.
        options: how the jobs are shared.
        settings_file: where `defaults` come from, if from a file.
    """

    path: Path
    defaults: EditConfig
    options: BatchOptions
    settings_file: Path | None = None

    @property
    def root(self) -> str:
        """Folder or address of outputs and records; by default beside the list."""
        return self.options.out or str(self.path.with_name(f"{self.path.name}.fairy"))

    def ledger(self, *, coordinator: bool = False) -> Ledger:
        """Open the records, for a process that does the work, or for one that hands it out."""
        root = self.root.rstrip("/")
        return Ledger(
            f"{root}/{RECORDS}" if self.options.out else root,
            self.options.lease,
            coordinator=coordinator,
        )


def run_shared_batch(
    batch: SharedBatch,
    *,
    on_result: OnResult,
    on_open: OnOpen = lambda ledger, names: None,
    cancel: Cancel | None = None,
) -> list[JobResult]:
    """Run a list's jobs, alone or with local workers, until all have ended.

    Args:
        batch: the list.
        on_result: called with the result of each job that these workers end.
        on_open: called once with the records and the jobs by ID.
        cancel: stops the list.

    Returns:
        The results of all jobs, including those that other processes ran.

    Raises:
        SettingsError: the list cannot be read, or its records cannot be shared where they are.
        NoProgressError: the first jobs all fail, or workers die without finishing any.
    """
    ledger = batch.ledger()
    jobs, refused = opened(batch, ledger, on_result)
    on_open(ledger, jobs)
    if batch.options.workers == 1:
        work(batch, jobs, on_result, cancel or Cancel())
    else:
        _supervise(batch, jobs, on_result, cancel or Cancel())
    return refused + ledger.results(jobs)


def opened(
    batch: SharedBatch, ledger: Ledger, on_result: OnResult
) -> tuple[dict[str, Job], list[JobResult]]:
    """Return the valid jobs by ID, and the results of the others, which are reported."""
    ledger.claims.check_exclusive()
    refused: list[JobResult] = []
    jobs = numbered(batch, refused.append)
    for result in refused:
        on_result(result)
    if batch.options.retry_failed:
        ledger.retry(jobs)
    return jobs, refused


def numbered(batch: SharedBatch, refuse: OnResult) -> dict[str, Job]:
    """Return the valid jobs by ID, in the order in which to run them."""
    read = files_of_list(batch.path, batch.settings_file)
    jobs = make_jobs(read_lines(batch.path), batch.defaults, refuse, batch.options.out, read)
    listing, num_bytes, found = Listing(), dict[str, int](), dict[str, Job]()
    for job in jobs:
        try:
            clip = clip_state(job, listing)
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}"
            refuse(result_of(job, "failed", error=reason, kind="storage"))
            continue
        name = job_id(job, clip)
        # Its size stands for its length
        found[name], num_bytes[name] = job, sum(size for _, size, _ in clip)
    if batch.options.order == "given":
        return found
    return {name: found[name] for name in sorted(found, key=num_bytes.__getitem__, reverse=True)}


def work(batch: SharedBatch, jobs: dict[str, Job], on_result: OnResult, cancel: Cancel) -> None:
    """Take free jobs until all have ended."""
    ledger, options = batch.ledger(), batch.options
    worker = ClipWorker(
        split_frames=options.split_frames, cancel=cancel, clip_timeout=options.clip_timeout
    )
    breaker = Breaker(options.stop_after_failures)
    with ledger.claims:
        pending = Pending(jobs, ledger)
        while not pending.is_empty:
            cancel.check()
            if (name := pending.take()) is None:
                if not any(worker.help(jobs[name]) for name in pending.names):
                    time.sleep(POLL_S)
                continue
            if (result := worn_out(ledger, name, jobs[name], options.max_attempts)) is None:
                result = worker.edit(jobs[name])
            if settle(ledger, name, result, options.max_attempts):
                pending.remove(name)
                on_result(result)
                breaker.count(result)


class Pending:
    """The jobs that have not ended, as far as this process knows.

    The records are listed now and then, not for each job: a list has up to millions of them.
    """

    def __init__(self, jobs: Iterable[str], ledger: Ledger) -> None:
        self._ledger = ledger
        self._open = dict.fromkeys(jobs)
        self._next: deque[str] = deque()
        self._listed_s, self._took_s = -math.inf, 0.0

    @property
    def is_empty(self) -> bool:
        """Whether all jobs have ended."""
        return not self._open

    @property
    def names(self) -> list[str]:
        """The jobs that have not ended."""
        return list(self._open)

    def remove(self, name: str) -> None:
        """Forget a job that has ended."""
        self._open.pop(name, None)

    def take(self) -> str | None:
        """Claim the next free job; None if all are claimed, or have ended."""
        valid_s = max(LISTING_SHARE * self._took_s, LISTING_S if self._next else 0.0)
        if time.monotonic() >= self._listed_s + valid_s:
            self._list()
        claims = self._ledger.claims
        while self._next:
            name = self._next.popleft()
            number = claims.take(name) if name in self._open else None
            if number is None:
                continue
            # Another worker may have tried it since the listing, and ended it
            if number == 0 or not self._ledger.has_ended(name):
                return name
            claims.keep(name)
            self.remove(name)
        return None

    def _list(self) -> None:
        """Look which jobs have ended; those that nobody has tried yet come first."""
        began_s = time.monotonic()
        for name in self._ledger.ended():
            self.remove(name)
        tried = self._ledger.claims.names()
        self._next = deque(sorted(self._open, key=tried.__contains__))
        self._listed_s = time.monotonic()
        self._took_s = self._listed_s - began_s


class Breaker:
    """Stops a list whose first jobs all fail."""

    def __init__(self, limit: int) -> None:
        self._limit, self._num_failed, self._any_done = limit, 0, False

    def count(self, result: JobResult) -> None:
        """Note how a job ended.

        Raises:
            NoProgressError: as many as the limit have failed, and none is done.
        """
        self._any_done |= result.state != "failed"
        self._num_failed += result.state == "failed"
        if self._num_failed >= self._limit and not self._any_done:
            raise NoProgressError(
                f"the first {self._num_failed} jobs all failed, the last one with: {result.error}"
            )


def worn_out(ledger: Ledger, name: str, job: Job, max_attempts: int) -> JobResult | None:
    """Return the result of a job that too many workers have died with, or None."""
    num_deaths = ledger.num_deaths(name)
    if num_deaths < max_attempts:
        return None
    workers = f"{num_deaths} worker{'s' * (num_deaths != 1)}"
    error = f"{workers} died with it or took too long; --retry-failed tries again"
    return result_of(job, "failed", error=error, kind="worker")


def settle(ledger: Ledger, name: str, result: JobResult, max_attempts: int) -> bool:
    """Record a result, or release a job that another try may finish.

    Returns:
        Whether the job has ended.
    """
    if result.kind == "busy":
        ledger.claims.give_back(name)
        return False
    if result.kind in RETRIED and ledger.num_deaths(name) + 1 < max_attempts:
        logger.warning("%s: %s: trying again", result.input, result.error)
        ledger.claims.give_back(name, died=True)
        return False
    ledger.record(name, "failed" if result.state == "failed" else "done", asdict(result))
    return True


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
