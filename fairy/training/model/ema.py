"""Exponential moving average of a model's weights: what is validated and exported.

Tests: tests/training/model/test_ema.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averaged copies of the parameters that are trained; all others are left alone."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start at the model's weights."""
        self.decay = decay
        self._live = {n: value for n, value in model.named_parameters() if value.requires_grad}
        self._mean = {name: value.detach().clone() for name, value in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the weights after `step` steps (1 is the first).

        The decay rises as (1 + step) / (10 + step) up to its value, so that the random start
        is forgotten soon. One fused call for all tensors (`torch._foreach_lerp_`).
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        live: list[Tensor] = [self._live[name] for name in self._mean]
        torch._foreach_lerp_(list(self._mean.values()), live, 1 - decay)

    @contextmanager
    def weights_in(self) -> Iterator[None]:
        """Put the average into the model; put its own weights back at the end, always."""
        own = {name: value.detach().clone() for name, value in self._live.items()}
        self._copy(self._mean)
        try:
            yield
        finally:
            self._copy(own)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averages by parameter name."""
        return dict(self._mean)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take averages by parameter name; those of weights that are not trained are left out."""
        if not state.keys() >= self._mean.keys():
            raise RuntimeError("the averaged weights have other names than the model's")
        for name, value in self._mean.items():
            value.copy_(state[name])

    @torch.no_grad()
    def _copy(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self._live.items():
            parameter.copy_(values[name])
