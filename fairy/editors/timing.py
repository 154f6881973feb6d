"""Measure seconds by stage, with the clock or on the device that does the work.

On CUDA, events in the stream mark a stage: the loop never waits, and the times are read only when
they are needed. On other devices the work is done when its call returns.
Tests: tests/editors/test_timing.py.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

Mark = float | torch.cuda.Event
"""A moment on the clock, or in a CUDA stream."""


class Stopwatch:
    """Adds up the time of `with watch(stage)` blocks by stage.

    A stage inside another pauses the outer one, so nothing counts twice.

    Args:
        device: whose work is measured; the clock when None.

    >>> watch = Stopwatch()
    >>> with watch("edit"):
    ...     with watch("read"):
    ...         pass
    >>> sorted(watch.seconds())
    ['edit', 'read']
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._spans: list[tuple[str, Mark, Mark]] = []
        self._since: Mark = 0.0
        self._began = time.perf_counter()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time of the `with` block towards `stage`."""
        self._turn()
        self._running.append(stage)
        try:
            yield
        finally:
            self._turn()
            self._running.pop()

    def seconds(self) -> dict[str, float]:
        """Return the seconds by stage so far; on CUDA this waits for work in progress."""
        for stage, began, ended in self._spans:
            self._seconds[stage] += _seconds_between(began, ended)
        self._spans.clear()
        return dict(self._seconds)

    @property
    def total_s(self) -> float:
        """Seconds by the clock since the watch was made."""
        return time.perf_counter() - self._began

    def _turn(self) -> None:
        """Add the time since the last call to the innermost running stage."""
        now = self._mark()
        if self._running:
            self._spans.append((self._running[-1], self._since, now))
        self._since = now

    def _mark(self) -> Mark:
        if self._device is None or self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event


def _seconds_between(began: Mark, ended: Mark) -> float:
    if isinstance(began, torch.cuda.Event):
        assert isinstance(ended, torch.cuda.Event)
        ended.synchronize()
        return float(began.elapsed_time(ended)) / 1e3
    assert isinstance(ended, float)
    return ended - began
