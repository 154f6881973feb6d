"""Where frames see the anchors: cached keys moved after the fact, exactly.

A DiT's keys carry their token's place, turned into them by rotary embeddings (RoPE): each pair of
channels is turned by position * frequency. Turning a cached key further by offset * frequency gives
the key of a token that is `offset` away, and scaling a pair commutes with turning it. So the same
cache serves every setting. Shapes: k (B,M,H,D). Tests: tests/anchors/test_positions.py,
tests/editors/stock/test_positions.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rope:
    """Rotary embeddings whose pairs are neighbouring channels, one block of channels an axis.

    Attributes:
        axes: channels of each axis; their sum is the head dimension.
        theta: base of the frequencies.
        plane: the axis that tells pictures apart.
        width: the axis of columns.
        plane_step: distance of one source from the next on the axis `plane`.
    """

    axes: tuple[int, ...]
    theta: float
    plane: int = 0
    width: int = 2
    plane_step: float = 1.0

    def frequencies(self, device: torch.device | None = None) -> list[Tensor]:
        """Return for each axis the radians (axis/2,) by which one step turns each pair."""
        return [
            self.theta ** -(torch.arange(0, size, 2, dtype=torch.float64, device=device) / size)
            for size in self.axes
        ]


def rotate(k: Tensor, rope: Rope, offset: Sequence[float]) -> Tensor:
    """Return keys (B,M,H,D) as those of tokens that are `offset` (one number an axis) away."""
    angles = [f * step for f, step in zip(rope.frequencies(k.device), offset, strict=True)]
    angle = torch.cat(angles)
    cos, sin = angle.cos().to(torch.float32), angle.sin().to(torch.float32)
    even, odd = k.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    return turned.flatten(-2).to(k.dtype)


def damp(k: Tensor, rope: Rope, factor: float) -> Tensor:
    """Return keys whose pairs are scaled by 1 - (1 - factor) * frequency, except on the plane axis.

    The fastest pairs, which tell neighbouring tokens apart, are scaled by `factor`, the slowest
    hardly at all: queries then find an anchor's content less by its exact place.
    """
    scales = [
        torch.ones_like(f) if axis == rope.plane else 1 - (1 - factor) * f
        for axis, f in enumerate(rope.frequencies(k.device))
    ]
    return (k.float() * torch.cat(scales).repeat_interleave(2).float()).to(k.dtype)


def anchor_offset(rope: Rope, position: str, number: int, width: int) -> tuple[float, ...]:
    """Return how far anchor `number` of a frame that is `width` tokens wide is moved, by axis.

    Args:
        rope: the family's.
        position: "same" and "damp" do not move; "shift" moves by the frame's width, to the right;
            "source" to a picture plane of its own, after the frame's source.
        number: of the anchor, from 0.
        width: tokens in a row.
    """
    offset = [0.0] * len(rope.axes)
    if position == "shift":
        offset[rope.width] = float(width)
    elif position == "source":
        # The frame's own source is one step away, further pictures follow
        offset[rope.plane] = rope.plane_step * (2 + number)
    return tuple(offset)
