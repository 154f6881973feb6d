"""What follows when a job of a shared list ends, or its worker does: record it, try again, or stop.

Tests: tests/batch/test_shared.py.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, replace

from fairy.batch.addresses import is_address
from fairy.batch.answers import JobResult, result_of
from fairy.batch.joblist import Job
from fairy.batch.ledger import Ledger
from fairy.errors import FairyError
from fairy.media.folder import is_result

logger = logging.getLogger(__name__)

# Results of these kinds say nothing about the job: another worker tries it again
RETRIED = frozenset({"memory", "device", "storage"})
# A worker that has died this often, with no job finished in between, is not restarted
MAX_DEATHS_IN_A_ROW = 4


class NoProgressError(FairyError):
    """No job succeeds, so the cause is the set-up, not the jobs."""


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


class Renewal:
    """Finds jobs whose output an earlier job of the same list wrote: they replace it.

    A line that changes is another job, with the same output. An output that is not the list's own
    is kept.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._written: set[str] | None = None

    def of(self, job: Job) -> Job:
        """Return the job, which now replaces its output if the list wrote that."""
        if is_address(job.out_name) or not is_result(job.out):
            return job
        if self._written is None:
            results = self._ledger.results(self._ledger.ended())
            self._written = {result.output for result in results if result.state == "done"}
        if job.out_name not in self._written:
            return job
        return replace(job, run=replace(job.run, overwrite=True))


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
