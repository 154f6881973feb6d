"""Exponential moving average of a model's weights, which is validated and exported.

Tests: tests/training/model/test_ema.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Ema:
    """Averaged copies of weights.

    Args:
        weights: float32, by name; the initial average.
        decay: the largest decay.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self._live = dict(weights)
        self._mean = {name: value.detach().clone() for name, value in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the averages towards the weights after `step` steps (1 is the first).

        The decay rises as (1 + step) / (10 + step) up to its largest value, so the random start is
        forgotten soon. One fused call updates all tensors (`torch._foreach_lerp_`).
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        live: list[Tensor] = [self._live[name] for name in self._mean]
        torch._foreach_lerp_(list(self._mean.values()), live, 1 - decay)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averages by parameter name."""
        return dict(self._mean)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load averages by parameter name; weights that are not trained have none."""
        if not state.keys() >= self._mean.keys():
            raise RuntimeError("the averaged weights and the model's have different names")
        for name, value in self._mean.items():
            value.copy_(state[name])
