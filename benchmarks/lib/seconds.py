"""Time that passed, and the processor's time that this process got of it.

Where others are at work, the second says more of the work done.
Tests: tests/benchmarks/lib/test_seconds.py.
"""

from __future__ import annotations

import time
from typing import NamedTuple


class Seconds(NamedTuple):
    """Seconds by the clock and by the processor, all threads; `now() - earlier` is a span."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Seconds:
        """Return both clocks."""
        return cls(time.perf_counter(), time.process_time())

    def __sub__(self, earlier: Seconds) -> Seconds:
        """Return the span since `earlier`."""
        return Seconds(self.wall - earlier.wall, self.cpu - earlier.cpu)

    def times(self, factor: float) -> Seconds:
        """Return the span `factor` times as long."""
        return Seconds(self.wall * factor, self.cpu * factor)

    def and_then(self, later: Seconds) -> Seconds:
        """Return two spans as one."""
        return Seconds(self.wall + later.wall, self.cpu + later.cpu)
