"""fairy/metrics/temporal.py."""

from __future__ import annotations

import pytest
import torch

from fairy.metrics.temporal import (
    high_frequency_power,
    interpolation_error,
    still_points,
    warp_error,
    warp_error_255,
)


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


def test_scale_of_255_is_that_of_frames_counted_to_255() -> None:
    frames, flow, visible = _pan(5, 3)
    still = torch.zeros_like(flow)
    expected = warp_error(frames * 255, still, visible)
    assert warp_error_255(frames, still, visible) == pytest.approx(expected, rel=1e-4)


def test_still_clip_has_no_flicker(still: torch.Tensor) -> None:
    assert interpolation_error(still) == 0
    assert high_frequency_power(still, still) == pytest.approx(0, abs=1e-12)


def test_even_fade_is_no_interpolation_error(still: torch.Tensor) -> None:
    faded = still * torch.linspace(0, 1, 12)[:, None, None, None]
    assert interpolation_error(faded) < 1e-6


def test_interpolation_error_of_flicker_is_its_size(still: torch.Tensor) -> None:
    assert interpolation_error(_flickering(still, 0.1)) == pytest.approx(0.1, rel=1e-3)


def test_swapped_frames_raise_the_interpolation_error(still: torch.Tensor) -> None:
    faded = still * torch.linspace(0, 1, 12)[:, None, None, None]
    order = [0, 1, 2, 3, 5, 4, 6, 7, 8, 9, 10, 11]
    assert interpolation_error(faded[order]) > 0.02


def test_interpolation_needs_three_frames(still: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="at least 3"):
        interpolation_error(still[:2])


@pytest.mark.parametrize("num_frames", [8, 11, 12])
def test_power_of_flicker_is_a_quarter_of_its_square(num_frames: int) -> None:
    still = torch.full((num_frames, 3, 8, 8), 0.5)
    power = high_frequency_power(_flickering(still, 0.1), still)
    assert power == pytest.approx(0.1**2 / 4, rel=0.05)


def test_a_third_of_white_noise_is_fast() -> None:
    still = torch.full((60, 3, 16, 16), 0.5)
    noise = 0.05 * torch.randn(still.shape, generator=torch.Generator().manual_seed(0))
    assert high_frequency_power(still + noise, still) == pytest.approx(0.05**2 / 3, rel=0.1)


def test_slow_change_is_hardly_power(still: torch.Tensor) -> None:
    faded = still * torch.linspace(0.5, 1, 12)[:, None, None, None]
    slow, fast = (
        high_frequency_power(faded, still),
        high_frequency_power(_flickering(still, 0.1), still),
    )
    assert slow is not None and fast is not None
    assert slow < 0.001 * fast


def test_power_counts_still_places_only() -> None:
    source = torch.full((8, 3, 8, 8), 0.5)
    source[::2, :, :, :4] = 0.9
    flicker = torch.zeros(8, 3, 8, 8)
    flicker[::2, :, :, :4] = 0.5
    assert high_frequency_power(source + flicker, source) == pytest.approx(0, abs=1e-12)


def test_power_is_not_measured_where_everything_moves() -> None:
    moving = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert high_frequency_power(moving, moving) is None


def test_power_needs_eight_frames(still: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="at least 8"):
        high_frequency_power(still[:7], still[:7])


def test_noise_of_a_recording_is_still(still: torch.Tensor) -> None:
    noise = torch.rand(still.shape, generator=torch.Generator().manual_seed(0))
    assert still_points(still + 0.02 * noise).all()
    assert not still_points(still + 0.5 * noise).any()


def _flickering(frames: torch.Tensor, size: float) -> torch.Tensor:
    """Add `size` to every second frame."""
    frames = frames.clone()
    frames[::2] += size
    return frames
