"""Wall time and this process's processor time.

If other processes are running, processor time is the better measure of the work done.
Tests: tests/benchmarks/lib/test_seconds.py.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import torch


class Seconds(NamedTuple):
    """Wall seconds and processor seconds of all threads; `now() - earlier` is a span."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Seconds:
        """Read both clocks."""
        return cls(time.perf_counter(), time.process_time())

    def __sub__(self, earlier: Seconds) -> Seconds:
        """Return the span since `earlier`."""
        return Seconds(self.wall - earlier.wall, self.cpu - earlier.cpu)

    def on(self, device: torch.device) -> float:
        """Return the time to compare on `device`: processor time on a CPU, else wall time."""
        return self.cpu if device.type == "cpu" else self.wall

    def times(self, factor: float) -> Seconds:
        """Return the span `factor` times as long."""
        return Seconds(self.wall * factor, self.cpu * factor)

    def and_then(self, later: Seconds) -> Seconds:
        """Return two spans as one."""
        return Seconds(self.wall + later.wall, self.cpu + later.cpu)
