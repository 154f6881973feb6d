"""Share a list of edits among any number of processes, on any machines that see one folder.

Each process takes a free job, runs it and records the result (`fairy.batch.ledger`), until every
job is done or set aside. No process hands out the work, so a worker may join, end or be killed at
any time. A job is set aside if it fails, or if several workers died while running it.
Tests: tests/batch/test_shared.py.
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess

from fairy.batch.answers import JobResult
from fairy.batch.joblist import Job
from fairy.batch.ledger import LISTING_SHARE
from fairy.batch.outcomes import MAX_DEATHS_IN_A_ROW, Breaker, NoProgressError
from fairy.batch.shared_list import OnOpen, OnResult, SharedBatch, jobs_by_id, open_list
from fairy.batch.shared_worker import run_free_jobs
from fairy.errors import FairyError, JobInterrupted
from fairy.interrupt import Cancel
from fairy.jobs.ranks import end_all
from fairy.jobs.team import POLL_S, Rank
from fairy.system import end_with_parent

logger = logging.getLogger(__name__)

# How often this process looks at the records for what its workers have ended, at most
LOOK_S = 1.0
# How long workers may take to see that all jobs have ended
LEAVE_S = 20.0


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
    jobs, refused = open_list(batch, ledger, on_result)
    on_open(ledger, jobs)
    cancel, breaker = cancel or Cancel(), Breaker(batch.options.stop_after_failures)
    if batch.options.workers == 1:
        run_free_jobs(batch, jobs, on_result, cancel, breaker)
    else:
        _supervise(batch, jobs, on_result, cancel, breaker)
    return refused + ledger.results(jobs)


def _supervise(
    batch: SharedBatch, jobs: dict[str, Job], on_result: OnResult, cancel: Cancel, breaker: Breaker
) -> None:
    """Restart workers that die until all jobs have ended; report each job that ends."""
    ended = _Ended(batch, jobs)
    if ended.are_all():
        return
    workers = _Workers(batch)
    try:
        while not ended.are_all():
            cancel.check()
            if fresh := ended.fresh():
                workers.forgive()
            for result in fresh:
                on_result(result)
                breaker.count(result)
            workers.restart()
            time.sleep(POLL_S)
        workers.leave()
    finally:
        workers.end()


class _Ended:
    """The jobs of a list that have ended, whoever ended them; looked up now and then."""

    def __init__(self, batch: SharedBatch, jobs: dict[str, Job]) -> None:
        self._ledger, self._left = batch.ledger(), set(jobs)
        self._left -= self._ledger.ended().keys()
        self._next_s = 0.0

    def are_all(self) -> bool:
        """Whether all have ended."""
        return not self._left

    def fresh(self) -> list[JobResult]:
        """Return the results of those that have ended since the last look."""
        began_s = time.monotonic()
        if began_s < self._next_s:
            return []
        names = self._ledger.ended().keys() & self._left
        self._left -= names
        results = self._ledger.results(names) if names else []
        took_s = time.monotonic() - began_s
        self._next_s = began_s + max(LOOK_S, LISTING_SHARE * took_s)
        return results


class _Workers:
    """Processes that take free jobs."""

    def __init__(self, batch: SharedBatch) -> None:
        self._batch, self._count = batch, batch.options.workers
        self._deaths = [0] * self._count
        self._processes = [self._started(number) for number in range(self._count)]

    def _started(self, number: int) -> BaseProcess:
        rank = Rank(number, self._count, number, self._count, "batch")
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_work_in_process, args=(self._batch, rank), daemon=True)
        process.start()
        return process

    def forgive(self) -> None:
        """Count deaths from 0 again, because a job has ended."""
        self._deaths = [0] * self._count

    def restart(self) -> None:
        """Start those that have ended again.

        Raises:
            NoProgressError: all have ended too often.
        """
        for number, process in enumerate(self._processes):
            if process.exitcode is not None and self._deaths[number] < MAX_DEATHS_IN_A_ROW:
                self._deaths[number] += 1
                self._processes[number] = self._started(number)
        if not any(process.is_alive() for process in self._processes):
            raise NoProgressError("the workers end without finishing a job: --workers 1 shows why")

    def leave(self) -> None:
        """Wait until they have seen that all jobs have ended; one may be frozen."""
        until_s = time.monotonic() + LEAVE_S
        for process in self._processes:
            process.join(max(0.0, until_s - time.monotonic()))

    def end(self) -> None:
        """End those that still run."""
        end_all(self._processes)


def _work_in_process(batch: SharedBatch, rank: Rank) -> None:
    """Run jobs in a worker process, and end when the process that started it ends."""
    end_with_parent()
    try:
        with Cancel().on_signals() as cancel:
            rank.share_cores()
            # By the IDs that all workers know; then each on its own GPU
            jobs = {
                name: replace(job, config=rank.config(job.config))
                for name, job in jobs_by_id(batch, lambda result: None).items()
            }
            run_free_jobs(batch, jobs, lambda result: None, cancel)
    except JobInterrupted:
        pass
    except FairyError as error:
        logger.error("worker %d: %s", rank.number, error)
