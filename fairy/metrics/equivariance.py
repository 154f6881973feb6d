"""Do moving a picture and editing it commute? edit(g(x)) = g(edit(x)).

frames (B,3,H,W) in [0,1], theta (B,2,3). Tests: tests/metrics/test_equivariance.py.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.metrics.checks import check_frames


def equivariance_error(edit: Callable[[Tensor], Tensor], frames: Tensor, theta: Tensor) -> float:
    """Mean squared difference between editing the moved picture and moving the edited one.

    `mean over p of |edit(g(x))(p) - g(edit(x))(p)|^2` over the points that g takes from inside the
    picture. Range 0 to 1; 0 for an edit that treats every pixel alike; lower is better. The edit
    must use the same noise both times; otherwise this measures the noise. g resamples, which blurs,
    so an edit that sharpens is penalised, and one that does nothing gets 0. Source: section 3 of
    the Fairy paper (arXiv 2312.13834), whose finetuning minimises it.

    Args:
        edit: (B,3,H,W) in [0,1] -> the same shape.
        frames: (B,3,H,W) in [0,1].
        theta: (B,2,3), affine maps from points of the result to points of the picture, both in
            [-1,1], as for `torch.nn.functional.affine_grid`.

    Raises:
        ValueError: there is not one map per frame, the edit changes the size, or the maps move all
            of the picture out of view.
    """
    check_frames(frames)
    if theta.shape != (len(frames), 2, 3):
        raise ValueError(f"theta is {tuple(theta.shape)}: give ({len(frames)}, 2, 3)")
    moved, inside = move(frames, theta)
    of_moved, edited = edit(moved), edit(frames)
    if not of_moved.shape == edited.shape == frames.shape:
        raise ValueError(f"the edit makes {tuple(edited.shape)} of {tuple(frames.shape)}")
    if not inside.any():
        raise ValueError("theta moves all of the picture out of view: there is nothing to compare")
    squared = (of_moved - move(edited, theta)[0]).square().mean(1)
    return float(squared[inside].mean())


def move(frames: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return g(frames) (B,3,H,W), bilinear, and where it shows the picture, (B,H,W) bool.

    Points outside the picture repeat its edge. Arguments: as for `equivariance_error`.
    """
    grid = F.affine_grid(theta, list(frames.shape), align_corners=False)
    moved = F.grid_sample(frames, grid, padding_mode="border", align_corners=False)
    # Beyond the outermost pixels' centres the edge is repeated
    half_pixel = 1 / torch.tensor([frames.shape[3], frames.shape[2]], device=frames.device)
    return moved, (grid.abs() <= 1 - half_pixel).all(-1)
