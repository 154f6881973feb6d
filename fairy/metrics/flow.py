"""Optical flow of a clip with unknown motion: OpenCV's DIS, or RAFT with torchvision.

frames (T,3,H,W) in [0,1] -> flow (T-1,2,H,W) in px as (x, y), visible (T-1,H,W) bool.
Tests: tests/metrics/test_flow.py.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from fairy.errors import ModelError, SettingsError
from fairy.media.frames import to_images
from fairy.metrics.checks import check_frames
from fairy.metrics.temporal import sample_at

METHODS = ("dis", "raft")
# Section 3 of Sundaram et al.: |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5, in px
RELATIVE_SQUARED = 0.01
ABSOLUTE_SQUARED_PX = 0.5
# RAFT's grid is an eighth of the picture, and its correlation pyramid halves that three times
RAFT_MULTIPLE = 8
RAFT_LEAST_PX = 128

FlowOfPairs = Callable[[Tensor, Tensor], Tensor]


def estimate_flow(frames: Tensor, method: str = "dis") -> tuple[Tensor, Tensor]:
    """Return the motion between consecutive frames and where it is reliable.

    A point is visible if it stays in the picture and the backward flow returns to it:
    `|f(p) + b(p + f(p))|^2 < 0.01 (|f|^2 + |b|^2) + 0.5` (Sundaram, Brox and Keutzer, "Dense Point
    Trajectories by GPU-accelerated Large Displacement Optical Flow", 2010). Estimate it on the
    source, never on the edit: flicker distorts the flow.
    It fails for large motion of small objects, plain surfaces (both flows agree on 0) and cuts.

    Args:
        frames: (T,3,H,W) in [0,1], T at least 2.
        method: "dis" (OpenCV: Kroeger et al., "Fast Optical Flow using Dense Inverse Search",
            2016) or "raft" (Teed and Deng, 2020; needs torchvision and its weights).

    Returns:
        flow (T-1,2,H,W) in px and visible (T-1,H,W) bool, on the device of `frames`.

    Raises:
        ModelError: RAFT needs torchvision and its weights.
        SettingsError: the method is unknown.
        ValueError: not a clip of two frames or more.
    """
    check_frames(frames, least=2)
    if method not in METHODS:
        raise SettingsError(f"flow method {method!r} is unknown: use {', '.join(METHODS)}")
    between = _dis() if method == "dis" else _raft(frames.device)
    forward = between(frames[:-1], frames[1:])
    backward = between(frames[1:], frames[:-1])
    return forward, seen_both_ways(forward, backward)


def seen_both_ways(forward: Tensor, backward: Tensor) -> Tensor:
    """Return where forward and backward flow (T-1,2,H,W) agree inside the picture: (T-1,H,W)."""
    height, width = forward.shape[2:]
    returned = sample_at(backward, forward)
    error = (forward + returned).square().sum(1)
    length = forward.square().sum(1) + returned.square().sum(1)
    columns = torch.arange(width, device=forward.device) + forward[:, 0]
    rows = torch.arange(height, device=forward.device)[:, None] + forward[:, 1]
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    return inside & (error < RELATIVE_SQUARED * length + ABSOLUTE_SQUARED_PX)


def _dis() -> FlowOfPairs:
    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def between(first: Tensor, second: Tensor) -> Tensor:
        pairs = zip(_grey(first), _grey(second), strict=True)
        # Start from a flow of zeros; otherwise DIS starts from the last one it computed
        flows = [engine.calc(a, b, np.zeros((*a.shape, 2), np.float32)) for a, b in pairs]
        return torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).to(first)

    return between


def _grey(frames: Tensor) -> list[np.ndarray]:
    """Return frames (T,3,H,W) in [0,1] as grey uint8 (H,W) each."""
    return [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in to_images(frames * 2 - 1)]


def _raft(device: torch.device) -> FlowOfPairs:
    try:
        from torchvision.models.optical_flow import Raft_Large_Weights, raft_large
    except ImportError as error:
        raise ModelError(
            "flow by RAFT needs torchvision: pip install torchvision, or use dis"
        ) from error
    try:
        model = raft_large(weights=Raft_Large_Weights.C_T_SKHT_V2).eval().to(device)
    except OSError as error:
        raise ModelError(f"RAFT's weights cannot be downloaded ({error}): use dis") from error
    return raft_between(model)


def raft_between(model: torch.nn.Module) -> FlowOfPairs:
    """Return a function that runs a RAFT `model` pair by pair: (T,3,H,W) twice -> (T,2,H,W)."""

    @torch.no_grad()
    def between(first: Tensor, second: Tensor) -> Tensor:
        pairs = zip(first.split(1), second.split(1), strict=True)
        return torch.cat([_raft_pair(model, a, b) for a, b in pairs])

    return between


def _raft_pair(model: torch.nn.Module, first: Tensor, second: Tensor) -> Tensor:
    """Return the flow (1,2,H,W) of two frames (1,3,H,W), padded to a size that RAFT accepts."""
    height, width = first.shape[2:]
    down = max(RAFT_LEAST_PX - height, -height % RAFT_MULTIPLE)
    right = max(RAFT_LEAST_PX - width, -width % RAFT_MULTIPLE)
    padded = [
        torch.nn.functional.pad(image * 2 - 1, (0, right, 0, down), mode="replicate")
        for image in (first, second)
    ]
    flow: Tensor = model(*padded)[-1]
    return flow[..., :height, :width]
