"""Named and random colours, RGB in [0,1]."""

from __future__ import annotations

import torch
from torch import Tensor

from fairy.synthetic.names import COLOURS


def named_colour(name: str) -> Tensor:
    """Return the colour (3,) with this name in instructions."""
    return torch.tensor(COLOURS[name])


def hsv_colour(hue: Tensor, saturation: Tensor | float, value: Tensor | float) -> Tensor:
    """Return colours (...,3) in [0,1] of hue (...,1) in [0,1), saturation and value."""
    # Each channel is a trapezoid over the hue circle, a third of a turn apart.
    distance = ((hue * 6 + torch.tensor([0.0, 4.0, 2.0])) % 6 - 3).abs() - 1
    return value * (1 - saturation * (1 - distance.clamp(0, 1)))


def random_colours(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return saturated colours (*shape,3) in [0,1] with uniform random hue."""
    hue = torch.rand((*shape, 1), generator=generator)
    value = torch.empty((*shape, 1)).uniform_(0.45, 1.0, generator=generator)
    saturation = torch.empty((*shape, 1)).uniform_(0.35, 0.95, generator=generator)
    return hsv_colour(hue, saturation, value)
