"""Choose a run's precision, and keep float32 masters of bf16 weights.

A CPU with AMX or AVX512-BF16 trains about twice as fast in bf16; other CPUs are slower in bf16.
Most updates are too small for bf16 weights and would be lost, so the optimizer and the average use
float32 masters. Tests: tests/training/run/test_precision.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from fairy.errors import SettingsError
from fairy.system import has_fast_bf16
from fairy.training.config import TrainConfig

Precision = Literal["float32", "bf16 weights", "bf16 mixed precision"]


def choose_precision(config: TrainConfig, *, on_cuda: bool) -> Precision:
    """Return the precision of a recipe on this machine.

    Raises:
        SettingsError: bf16 weights are not possible in a stage that keeps other weights in float32.
    """
    if config.precision == "float32":
        return "float32"
    if on_cuda:
        return "bf16 mixed precision"
    whole_network = config.stage != "autoencoder" and not config.lora_rank
    if config.precision == "bf16" and not whole_network:
        raise SettingsError(
            "precision bf16 on a CPU works only for whole editors; use float32 or auto"
        )
    if config.precision == "bf16" or (whole_network and has_fast_bf16()):
        return "bf16 weights"
    return "float32"


class MasterWeights:
    """The weights that the optimizer updates: the trained weights, or float32 copies of them.

    Args:
        model: its trained weights become bf16 if `precision` says so.
        precision: from `choose_precision`.

    Attributes:
        weights: float32, by the names of the model's parameters.
    """

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        self._live = {n: w for n, w in model.named_parameters() if w.requires_grad}
        self._copied = precision == "bf16 weights"
        self.weights: dict[str, nn.Parameter] = dict(self._live)
        if self._copied:
            self.weights = {n: nn.Parameter(w.detach().clone()) for n, w in self._live.items()}
            for weight in self._live.values():
                weight.data = weight.data.to(torch.bfloat16)

    def take_gradients(self) -> None:
        """Move the model's gradients to the masters, before the optimizer's step."""
        if self._copied:
            for name, weight in self._live.items():
                gradient = weight.grad
                self.weights[name].grad = None if gradient is None else gradient.float()
                weight.grad = None

    @torch.no_grad()
    def publish(self) -> None:
        """Copy the changed masters into the model."""
        if self._copied:
            for name, weight in self._live.items():
                weight.copy_(self.weights[name])

    @contextmanager
    def in_model(self, values: Mapping[str, Tensor] | None = None) -> Iterator[None]:
        """Put float32 weights into the model inside this block: the masters, or `values` by name.

        The model's weights then share memory with them, so loading into the model changes them too.
        """
        held = {name: weight.data for name, weight in self._live.items()}
        for name, weight in self._live.items():
            weight.data = (self.weights if values is None else values)[name].data
        try:
            yield
        finally:
            for name, weight in self._live.items():
                weight.data = held[name]
            if values is None:
                self.publish()
