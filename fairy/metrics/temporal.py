"""How steady a video is: warp error, with the motion given.

Frames (T,3,H,W) in [0,1], flow (T-1,2,H,W) in px as (x, y), visible (T-1,H,W).
Tests: tests/metrics/test_temporal.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warp_back(frames: Tensor, flow: Tensor) -> Tensor:
    """Return frames 1..T-1 (T,3,H,W) as seen from the frame before: (T-1,3,H,W), bilinear."""
    height, width = frames.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    target = torch.stack([columns + flow[:, 0], rows + flow[:, 1]], dim=-1)
    unit = (2 * target + 1) / torch.tensor([width, height]) - 1
    return F.grid_sample(frames[1:], unit, padding_mode="border", align_corners=False)


def warp_error(frames: Tensor, flow: Tensor, visible: Tensor) -> float:
    """Mean squared difference along the motion, where a point is seen in both frames.

    `mean over visible p of |x_{t+1}(p + flow_t(p)) - x_t(p)|^2`, per channel, on the [0,1] scale
    (papers also use 0-255, 65025 times as much). 0 is perfectly steady; lower is better. It
    rewards blur and not editing at all: read it beside a measure of the edit. Resampling alone
    gives a small error above 0 on moving detail. Source: Lai et al., "Learning Blind Video
    Temporal Consistency" (2018), there with estimated flow.

    Args:
        frames: (T,3,H,W) in [0,1], T at least 2.
        flow: (T-1,2,H,W), motion from frame t to t + 1 in px.
        visible: (T-1,H,W) bool.

    Raises:
        ValueError: the shapes do not belong together, or no point is visible.
    """
    num_frames, _, height, width = frames.shape
    if flow.shape != (num_frames - 1, 2, height, width):
        raise ValueError(
            f"flow is {tuple(flow.shape)}: {num_frames} frames of {height}x{width} need "
            f"({num_frames - 1}, 2, {height}, {width})"
        )
    if not visible.any():
        raise ValueError("no point is visible in two frames: there is nothing to compare")
    squared = (warp_back(frames, flow) - frames[:-1]).square().mean(1)
    return float(squared[visible].mean())
