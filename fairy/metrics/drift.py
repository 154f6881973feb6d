"""Does a long clip keep the look of its anchors? A distance per frame.

frames (T,3,H,W) in [0,1] -> (T,). Tests: tests/metrics/test_drift.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fairy.metrics.checks import check_frames

# Distributions are compared at these ranks: percentiles
NUM_RANKS = 101


def drift(frames: Tensor, anchor_indices: Sequence[int]) -> Tensor:
    """Distance of each frame's look from that of the nearest anchor, against time.

    The look of a frame is the distribution of its colours and edges, without their positions. The
    result is `min over anchors a of W(x_t, x_a)`. W is the mean over R, G, B of the distance
    between two distributions of values (earth mover's, `mean over ranks of |sorted x - sorted
    x_a|`) plus that between the distributions of the luma's gradient. Range from 0; 0 at anchors;
    lower is better; a brightness offset of 0.1 gives 0.1. Objects that enter or leave the picture
    count as drift too: compare with the source's own, `drift(source, anchor_indices)`. Source: own,
    with the colour distributions of Swain and Ballard, "Color Indexing" (1991), and the distance of
    Rubner et al., "The Earth Mover's Distance" (2000).

    Args:
        frames: (T,3,H,W) in [0,1].
        anchor_indices: frames whose look the others should keep; for an editor without anchors any
            frames, such as the first.

    Returns:
        (T,) float.

    Raises:
        ValueError: `frames` is not a clip, or an anchor is missing or outside it.
    """
    check_frames(frames)
    if not anchor_indices or not all(0 <= index < len(frames) for index in anchor_indices):
        raise ValueError(
            f"anchor_indices {list(anchor_indices)}: give at least one, each from 0 to "
            f"{len(frames) - 1}"
        )
    looks = torch.cat([look(frame) for frame in frames.split(1)])
    anchors = looks[list(anchor_indices)]
    distance = (looks[:, None] - anchors).abs().mean(-1)
    colour, edges = distance[..., :3].mean(-1), distance[..., 3]
    return (colour + edges).amin(1)


def look(frames: Tensor) -> Tensor:
    """Return the percentiles of R, G, B and of the luma's gradient: (T,4,101).

    Args:
        frames: (T,3,H,W) in [0,1].
    """
    luma = frames.mean(1)
    down = luma[:, 1:, :-1] - luma[:, :-1, :-1]
    right = luma[:, :-1, 1:] - luma[:, :-1, :-1]
    gradient = (down.square() + right.square()).sqrt()
    colours = _percentiles(frames.flatten(2))
    return torch.cat([colours, _percentiles(gradient.flatten(1)[:, None])], dim=1)


def _percentiles(values: Tensor) -> Tensor:
    """Return the values (...,P) at `NUM_RANKS` even ranks: (...,101)."""
    ranks = torch.linspace(0, values.shape[-1] - 1, NUM_RANKS, device=values.device)
    return values.sort(dim=-1).values[..., ranks.round().long()]
