"""Calls that run side by side, one at a time: several runs of a pipeline that wait for each other.

A stock pipeline's `__call__` is one long function. To let anchors meet in every attention layer,
and frames in every step, each call runs in a thread of its own, but only while `Strand.resume`
waits for it: there is no parallelism, and no order but the caller's.
Tests: tests/editors/stock/test_strands.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_here = threading.local()


class StrandClosed(BaseException):
    """Ends a strand at its pause: the caller has given it up."""


class Strand:
    """A call that can pause and be resumed.

    Args:
        work: what to run; `pause` inside it gives the turn back.

    Attributes:
        result: what `work` returned, once it has ended.
        paused_at: label of the last pause; None before the first and after the end.
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self.result: Any = None
        self.paused_at: str | None = None
        self._work = work
        self._error: BaseException | None = None
        self._mine, self._theirs = threading.Semaphore(0), threading.Semaphore(0)
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def ended(self) -> bool:
        """Whether `work` has returned or raised."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def resume(self) -> None:
        """Run until the next pause or the end; raise what `work` raised."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._mine.release()
        self._theirs.acquire()
        if not self._paused:
            self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    @property
    def _paused(self) -> bool:
        return self.paused_at is not None

    def close(self) -> None:
        """End a strand that is paused, running its `finally` blocks."""
        if self._paused:
            self._closing = True
            self.resume()

    def _pause(self, label: str) -> None:
        self.paused_at = label
        self._theirs.release()
        self._mine.acquire()
        self.paused_at = None
        if self._closing:
            raise StrandClosed

    def _run(self) -> None:
        _here.strand = self
        try:
            self.result = self._work()
        except StrandClosed:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._theirs.release()


def pause(label: str) -> None:
    """Give the turn back to who resumed this strand; outside of one do nothing."""
    strand = getattr(_here, "strand", None)
    if strand is not None:
        strand._pause(label)


@contextmanager
def strands(works: Sequence[Callable[[], Any]]) -> Iterator[list[Strand]]:
    """Yield a strand for each of `works`; end those that are left at the end of the block."""
    made = [Strand(work) for work in works]
    try:
        yield made
    finally:
        for strand in made:
            strand.close()


def round_robin(made: Sequence[Strand], until: str) -> None:
    """Resume strands in turn until each is paused at `until` or has ended."""
    waiting = list(made)
    while waiting:
        for strand in waiting:
            strand.resume()
        waiting = [one for one in waiting if not one.ended and one.paused_at != until]
