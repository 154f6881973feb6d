"""Decoding ahead of the edit and encoding behind it, each in a thread of its own.

`ReadAhead` runs an iterator and `WriteBehind` runs a function in a thread, with a bounded queue
between the thread and the edit, so that the model does not wait for the codec and memory does not
grow. What fails in a thread is raised again in the caller's, `from` the thread's own error.
Tests: tests/media/test_threads.py.
"""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from threading import Condition, Thread
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

# Frames waiting between two threads: enough to even out a codec's bursts, few enough for 4K.
QUEUE_FRAMES = 8


class ReadAhead(Generic[T]):
    """Iterates over `items`, made by a thread up to `size` of them ahead; a context manager.

    None of the items may be None. Leaving the block, at the end or before it, closes `items` and
    waits for the thread.

    Attributes:
        busy_s: seconds that the thread has spent in `items`.

    >>> with ReadAhead(iter("abc"), size=2) as letters:
    ...     "".join(letters)
    'abc'
    """

    def __init__(self, items: Iterable[T], size: int = QUEUE_FRAMES) -> None:
        self._items = iter(items)
        self._queue: _Queue[T] = _Queue(size)
        self._thread = Thread(target=self._run, name="read ahead", daemon=True)
        self.busy_s = 0.0

    def __enter__(self) -> ReadAhead[T]:
        """Start to read."""
        self._thread.start()
        return self

    def __iter__(self) -> Iterator[T]:
        """Return the iterator itself."""
        return self

    def __next__(self) -> T:
        """Return the next item, or raise what the thread met instead."""
        return next(self._queue)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the thread and wait for it."""
        self._queue.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (item := self._make()) is not None:
                self._queue.put(item)
            self._queue.end()
        except _StoppedError:
            pass
        except BaseException as error:
            self._queue.end(error)
        finally:
            if isinstance(self._items, Generator):
                self._items.close()

    def _make(self) -> T | None:
        began = time.perf_counter()
        item = next(self._items, None)
        self.busy_s += time.perf_counter() - began
        return item


class WriteBehind(Generic[T]):
    """Calls `work` with each item that is `put`, in order, in a thread; a context manager.

    Leaving the block waits until all is worked off; leaving it by an exception drops the rest.

    Attributes:
        busy_s: seconds that the thread has spent in `work`.
    """

    def __init__(self, work: Callable[[T], None], size: int = QUEUE_FRAMES) -> None:
        self._work = work
        self._queue: _Queue[T] = _Queue(size)
        self._thread = Thread(target=self._run, name="write behind", daemon=True)
        self.busy_s = 0.0

    def __enter__(self) -> WriteBehind[T]:
        """Start the thread."""
        self._thread.start()
        return self

    def put(self, item: T) -> None:
        """Hand on one item; waits for room, and raises what earlier work has met."""
        self._queue.put(item)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the work, or drop it when the block was left by an exception."""
        if kind is None:
            self._queue.end()
        else:
            self._queue.stop()
        self._thread.join()
        if kind is None:
            self._queue.check()

    def _run(self) -> None:
        try:
            for item in self._queue:
                began = time.perf_counter()
                self._work(item)
                self.busy_s += time.perf_counter() - began
        except _StoppedError:
            pass
        except BaseException as error:
            self._queue.stop(error)


class _Queue(Generic[T]):
    """A bounded queue between two threads that the maker ends and the taker may stop."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"size is {size}: a queue holds at least one item")
        self._size = size
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Add an item, waiting for room; raise the taker's error, or _StoppedError."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._items) < self._size)
            if self._stopped:
                self.check()
                raise _StoppedError
            self._items.append(item)
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """Take an item, waiting for one; after the last raise the maker's error, or end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._ended or len(self._items) > 0)
            if self._stopped:
                raise _StoppedError
            if not self._items:
                self.check()
                raise StopIteration
            self._changed.notify_all()
            return self._items.popleft()

    def end(self, error: BaseException | None = None) -> None:
        """Say, as the maker, that nothing follows what is queued, but `error` if there is one."""
        with self._changed:
            self._ended = True
            self._error = self._error or error
            self._changed.notify_all()

    def stop(self, error: BaseException | None = None) -> None:
        """Say, as the taker, that nothing more is wanted, because of `error` if there is one."""
        with self._changed:
            self._stopped = True
            self._error = self._error or error
            self._changed.notify_all()

    def check(self) -> None:
        """Raise what the other side met, if it met anything."""
        if self._error is not None:
            # A copy: an error cannot be its own cause.
            raise copy.copy(self._error) from self._error


class _StoppedError(Exception):
    """The other side wants no more."""
