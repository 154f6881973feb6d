"""fairy/metrics/temporal.py."""

from __future__ import annotations

import pytest
import torch

from fairy.metrics.temporal import warp_error


def _pan(num_frames: int, step_px: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A picture that moves right by whole pixels: frames, flow, visible."""
    wide = torch.rand(3, 16, 64, generator=torch.Generator().manual_seed(0))
    starts = [32 - step_px * t for t in range(num_frames)]
    frames = torch.stack([wide[:, :, s : s + 24] for s in starts])
    flow = torch.zeros(num_frames - 1, 2, 16, 24)
    flow[:, 0] = step_px
    visible = torch.ones(num_frames - 1, 16, 24, dtype=torch.bool)
    visible[:, :, 24 - step_px :] = False
    return frames, flow, visible


def test_exact_motion_has_no_error() -> None:
    assert warp_error(*_pan(5, 3)) < 1e-10


def test_wrong_motion_has_error() -> None:
    frames, flow, visible = _pan(5, 3)
    assert warp_error(frames, -flow, visible) > 0.01


def test_flicker_of_known_size_is_its_square() -> None:
    frames = torch.full((6, 3, 8, 8), 0.5)
    frames[::2] += 0.1
    flow, visible = torch.zeros(5, 2, 8, 8), torch.ones(5, 8, 8, dtype=torch.bool)
    assert warp_error(frames, flow, visible) == pytest.approx(0.01, rel=1e-4)


def test_hidden_points_do_not_count() -> None:
    frames, flow, visible = _pan(3, 2)
    frames[1, :, :, 20:] = 0
    hidden = visible.clone()
    hidden[:, :, 18:] = False
    assert warp_error(frames, flow, hidden) < 1e-10 < warp_error(frames, flow, visible)


def test_flow_of_another_clip_is_refused() -> None:
    frames, flow, visible = _pan(5, 3)
    with pytest.raises(ValueError, match="need"):
        warp_error(frames[:3], flow, visible)
