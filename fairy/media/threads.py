"""Decode ahead of the edit and encode behind it, each in its own thread.

`ReadAhead` runs an iterator in a thread, and `WriteBehind` a function. The model does not wait for
the codec, and the number of queued items is bounded, so memory does not grow. An error in the
thread is raised in the caller. Tests: tests/media/test_threads.py.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

# Frames queued between two threads: enough to smooth a codec's bursts, few enough for 4K.
QUEUE_FRAMES = 8


class ReadAhead(Generic[T]):
    """Context manager that iterates over `items` in a thread, up to `size` items ahead.

    Leaving the block, early or not, waits for the item in progress and closes `items`.

    Attributes:
        busy_s: seconds that the thread has spent in `items`.

    >>> with ReadAhead(iter("abc"), size=2) as letters:
    ...     "".join(letters)
    'abc'
    """

    def __init__(self, items: Iterable[T], size: int = QUEUE_FRAMES) -> None:
        _check_size(size)
        self._items, self._size = iter(items), size
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read ahead")
        self._ahead: deque[Future[T]] = deque()
        self.busy_s = 0.0

    def __enter__(self) -> ReadAhead[T]:
        """Start reading."""
        self._ahead.extend(self._thread.submit(self._make) for _ in range(self._size))
        return self

    def __iter__(self) -> Iterator[T]:
        """Return the iterator itself."""
        return self

    def __next__(self) -> T:
        """Return the next item, or raise the thread's exception."""
        if not self._ahead:
            raise StopIteration
        try:
            item = self._ahead.popleft().result()
        except _EndError:
            self._ahead.clear()
            raise StopIteration from None
        self._ahead.append(self._thread.submit(self._make))
        return item

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the thread and close `items`."""
        self._thread.shutdown(cancel_futures=True)
        if isinstance(self._items, Generator):
            self._items.close()

    def _make(self) -> T:
        began = time.perf_counter()
        try:
            return next(self._items)
        except StopIteration:
            # A future cannot hold a StopIteration
            raise _EndError from None
        finally:
            self.busy_s += time.perf_counter() - began


class WriteBehind(Generic[T]):
    """Context manager that calls `work` in a thread, in order, with each item passed to `put`.

    Leaving the block waits until all work is done; leaving it with an exception drops the rest.

    Attributes:
        busy_s: seconds that the thread has spent in `work`.
    """

    def __init__(self, work: Callable[[T], None], size: int = QUEUE_FRAMES) -> None:
        _check_size(size)
        self._work, self._size = work, size
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="write behind")
        self._behind: deque[Future[None]] = deque()
        self._failed = False
        self.busy_s = 0.0

    def __enter__(self) -> WriteBehind[T]:
        """Return the writer; its thread starts with the first item."""
        return self

    def put(self, item: T) -> None:
        """Queue one item; wait while the queue is full, and raise any error from earlier work."""
        while self._behind and (len(self._behind) > self._size or self._behind[0].done()):
            self._behind.popleft().result()
        self._behind.append(self._thread.submit(self._run, item))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the work, or drop the rest if the block raised an exception."""
        try:
            if kind is None:
                for future in self._behind:
                    future.result()
        finally:
            self._thread.shutdown(cancel_futures=True)

    def _run(self, item: T) -> None:
        if self._failed:
            return
        began = time.perf_counter()
        try:
            self._work(item)
        except BaseException:
            self._failed = True
            raise
        finally:
            self.busy_s += time.perf_counter() - began


class _EndError(Exception):
    """There are no more items."""


def _check_size(size: int) -> None:
    if size < 1:
        raise ValueError(f"size is {size}: a queue holds at least one item")
