"""Seconds by stage of an edit's computing, measured on the device that does it.

On CUDA a stage is marked by two events in the stream: the loop never waits, and the times are read
when someone asks for them. On other devices the work is done when its call returns.
Tests: tests/editors/test_timing.py.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class StageTimer:
    """Adds up the time of `with timer(name)` blocks by name.

    Args:
        device: where the work is done.

    >>> timer = StageTimer(torch.device("cpu"))
    >>> with timer("vae_encode"):
    ...     pass
    >>> list(timer.seconds())
    ['vae_encode']
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._marks: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count the work of the block towards `name`."""
        if self._device.type == "cuda":
            began = self._mark()
            yield
            self._marks.append((name, began, self._mark()))
            return
        since = time.perf_counter()
        yield
        self._seconds[name] += time.perf_counter() - since

    def seconds(self) -> dict[str, float]:
        """Return the seconds by stage so far; on CUDA this waits for the work that was started."""
        for name, began, ended in self._marks:
            ended.synchronize()
            self._seconds[name] += began.elapsed_time(ended) / 1e3
        self._marks.clear()
        return dict(self._seconds)

    def _mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event
