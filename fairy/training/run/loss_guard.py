"""Detect an exploding loss before the optimizer's step.

Tests: tests/training/run/test_loss_guard.py.
"""

from __future__ import annotations

import math

# The loss is averaged over SPAN steps; rises in the first WARMUP steps are ignored.
SPAN = 10
WARMUP = 20


class LossGuard:
    """Compares the loss, averaged over some steps, with its lowest value.

    Args:
        max_rise: the largest allowed ratio of the two.
    """

    def __init__(self, max_rise: float) -> None:
        self.max_rise = max_rise
        self._mean = math.nan
        self._lowest = math.inf
        self._count = 0

    def complaint(self, loss: float) -> str | None:
        """Add a step's loss; return what is wrong with it, or None."""
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
