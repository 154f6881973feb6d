"""NaN and infinity in a model's numbers: an edit stops at its first batch, and says where.

Without this they become black pictures. Values (F,...) of any shape are only read.
Tests: tests/editors/test_finite.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fairy.errors import NumbersError

# Far above what any model is used with (diffusers' pages give 7.5 and 1.5)
HIGH_GUIDANCE = 30.0


class FiniteSteps:
    """Notes for each denoising step whether all values are finite; looks once, after the last.

    A look at every step would make the device wait each time.
    """

    def __init__(self) -> None:
        self._are_finite: list[Tensor] = []

    def add(self, values: Tensor) -> None:
        """Note the values that a step gave."""
        if not values.is_meta:
            self._are_finite.append(torch.isfinite(values).all())

    def first_bad(self) -> int | None:
        """Return the first step, from 0, that gave NaN or infinity."""
        if not self._are_finite:
            return None
        are_finite = torch.stack(self._are_finite).tolist()
        return None if all(are_finite) else are_finite.index(False)

    def __len__(self) -> int:
        """Return how many steps were noted."""
        return len(self._are_finite)


def check_finite(
    values: Tensor, where: str, models: Mapping[str, nn.Module], guidance_scale: float = 0.0
) -> None:
    """Raise `NumbersError` unless all `values` are finite; meta tensors have none.

    Args:
        values: what was computed.
        where: by what, as in "decoding the frames".
        models: what took part, by name.
        guidance_scale: the highest that took part.
    """
    if not values.is_meta and not torch.isfinite(values).all():
        raise numbers_error(where, models, guidance_scale)


def numbers_error(
    where: str, models: Mapping[str, nn.Module], guidance_scale: float = 0.0
) -> NumbersError:
    """Return the error for values that are not finite, with its likely cause; as `check_finite`."""
    return NumbersError(f"{where} gave NaN or infinity: {_likely_cause(models, guidance_scale)}")


def _likely_cause(models: Mapping[str, nn.Module], guidance_scale: float) -> str:
    weights = [
        (f"{model}.{name}", weight)
        for model, module in models.items()
        for name, weight in module.named_parameters()
    ]
    for name, weight in weights:
        if not torch.isfinite(weight).all():
            return f"the model's weights hold some already ({name}); download or train it again"
    if any(weight.dtype == torch.float16 for _, weight in weights):
        return "float16 holds no number over 65,504; use --dtype bfloat16 or float32"
    if guidance_scale > HIGH_GUIDANCE:
        return f"guidance {guidance_scale:g} is too strong; use less, such as 7.5"
    return "the model cannot edit these pictures with these settings; try another scheduler or size"
