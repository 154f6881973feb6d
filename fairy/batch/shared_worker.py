"""One worker of a shared list: take free jobs until all have ended.

Tests: tests/batch/test_shared.py.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable

from fairy.batch.clip_worker import ClipWorker
from fairy.batch.joblist import Job
from fairy.batch.ledger import LISTING_SHARE, Ledger
from fairy.batch.outcomes import Breaker, Renewal, settle, worn_out
from fairy.batch.shared_list import OnResult, SharedBatch
from fairy.interrupt import Cancel
from fairy.jobs.team import POLL_S

# A listing of the records is used for so many seconds, or longer (`LISTING_SHARE`)
LISTING_S = 10.0


def run_free_jobs(
    batch: SharedBatch,
    jobs: dict[str, Job],
    on_result: OnResult,
    cancel: Cancel,
    breaker: Breaker | None = None,
) -> None:
    """Take free jobs until all have ended.

    Args:
        batch: the list.
        jobs: its jobs by ID.
        on_result: called with the result of each job that this worker ends.
        cancel: stops the worker.
        breaker: stops it if the first jobs all fail; None if another process counts them.

    Raises:
        NoProgressError: the first jobs all fail.
    """
    ledger, options = batch.ledger(), batch.options
    worker = ClipWorker(
        split_frames=options.split_frames,
        cancel=cancel,
        clip_timeout=options.clip_timeout,
        lease_s=options.lease,
    )
    renewal = Renewal(ledger)
    with ledger.claims:
        pending = Pending(jobs, ledger)
        while not pending.is_empty:
            cancel.check()
            if (name := pending.take()) is None:
                began_s = time.monotonic()
                if not any(worker.help(jobs[name]) for name in pending.names):
                    time.sleep(max(POLL_S, LISTING_SHARE * (time.monotonic() - began_s)))
                continue
            began_s = time.monotonic()
            if (result := worn_out(ledger, name, jobs[name], options.max_attempts)) is None:
                result = worker.edit(renewal.of(jobs[name]))
            may_be_known = result.state == "kept" or time.monotonic() - began_s > options.lease
            if may_be_known and ledger.has_ended(name):
                # One of two processes was frozen, and the other has reported the job
                ledger.claims.keep(name)
                pending.remove(name)
                continue
            if settle(ledger, name, result, options.max_attempts):
                pending.remove(name)
                on_result(result)
                if breaker is not None:
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
            claims.give_back(name)
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
