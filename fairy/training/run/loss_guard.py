"""Stops a run whose loss is lost, before the weights take the step.

Tests: tests/training/run/test_loss_guard.py.
"""

from __future__ import annotations

import math

# Steps over which the loss is averaged, and before which a rise means nothing.
SPAN = 10
WARMUP = 20


class LossGuard:
    """Watches the loss, averaged over some steps, against the lowest it has been.

    Args:
        max_rise: how many times the lowest is too much.
    """

    def __init__(self, max_rise: float) -> None:
        self.max_rise = max_rise
        self._mean = math.nan
        self._lowest = math.inf
        self._count = 0

    def complaint(self, loss: float) -> str | None:
        """Take a step's loss; return what is wrong with it, or None."""
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        self._count += 1
        if self._count == 1:
            self._mean = loss
        self._mean += (loss - self._mean) / min(self._count, SPAN)
        if self._count >= WARMUP:
            self._lowest = min(self._lowest, self._mean)
        if self._mean > self.max_rise * self._lowest:
            rise = self._mean / self._lowest
            return f"the loss rose to {self._mean:.4g}, {rise:.0f} times its lowest"
        return None
