"""Steadiness of a video: along the motion, between neighbours, and where nothing moves.

Frames (T,3,H,W) in [0,1], flow (T-1,2,H,W) in px as (x, y), visible (T-1,H,W). If the flow is not
known, fairy/metrics/flow.py estimates it. All of these measures reward blur and unedited clips:
read them with a measure of the edit and with `fairy.metrics.fidelity.sharpness`.
Tests: tests/metrics/test_temporal.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.metrics.checks import check_frames, check_pair

LEVELS = 255
# A point is still if its source stays within this range over the whole clip, in [0,1]: about the
# noise and compression error of a good recording
STILL_RANGE = 0.04
# With fewer, frequencies above a third of the frame rate are only one or two bins of the spectrum.
LEAST_FRAMES_FOR_POWER = 8


def warp_back(frames: Tensor, flow: Tensor) -> Tensor:
    """Return frames 1..T-1 (T,3,H,W) as seen from the frame before: (T-1,3,H,W), bilinear."""
    return sample_at(frames[1:], flow)


def sample_at(images: Tensor, offsets: Tensor) -> Tensor:
    """Return images (B,C,H,W) read at each pixel plus offsets (B,2,H,W) in px, bilinear."""
    height, width = images.shape[2:]
    columns = torch.arange(width, device=offsets.device) + offsets[:, 0]
    rows = torch.arange(height, device=offsets.device)[:, None] + offsets[:, 1]
    unit = torch.stack([(2 * columns + 1) / width, (2 * rows + 1) / height], dim=-1) - 1
    return F.grid_sample(images, unit, padding_mode="border", align_corners=False)


def warp_error(frames: Tensor, flow: Tensor, visible: Tensor) -> float:
    """Mean squared difference along the motion, where a point is visible in both frames.

    `mean over visible p of |x_{t+1}(p + flow_t(p)) - x_t(p)|^2`, per channel, on the [0,1] scale
    (for 0-255: `warp_error_255`). Range 0 to 1; 0 is perfectly steady; lower is better. It rewards
    blur and unedited clips: read it with a measure of the edit. Resampling alone gives a small
    error above 0 on moving detail. Source: Lai et al., "Learning Blind Video Temporal Consistency"
    (2018), there with estimated flow.

    Args:
        frames: (T,3,H,W) in [0,1], T at least 2.
        flow: (T-1,2,H,W), motion from frame t to t + 1 in px.
        visible: (T-1,H,W) bool.

    Raises:
        ValueError: the shapes do not match, or no point is visible.
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


def warp_error_255(frames: Tensor, flow: Tensor, visible: Tensor) -> float:
    """`warp_error` of frames on the scale 0 to 255: 65025 times as large. Range 0 to 65025.

    Papers differ in the scale and rarely name it. Arguments and errors: as for `warp_error`.
    """
    return LEVELS**2 * warp_error(frames, flow, visible)


def interpolation_error(frames: Tensor) -> float:
    """Distance of each frame from the mean of its two neighbours, without flow.

    `sqrt(mean over t, p of |x_t(p) - (x_{t-1}(p) + x_{t+1}(p)) / 2|^2)` on [0,1]: the second
    difference in time. Range 0 to 1; 0 for a still or evenly fading clip; lower is better. A
    flicker that adds a to every second frame gives a, and a swapped pair of frames shows.
    It needs no flow, but motion itself counts as error: compare only clips with the same motion, or
    with the source's own value. It rewards blur and slow motion. Source: after the interpolation
    error of VidToMe (Li et al., 2024). There the middle frame may come from another interpolation,
    so compare values only with those of this function.

    Args:
        frames: (T,3,H,W) in [0,1], T at least 3.

    Raises:
        ValueError: fewer than 3 frames.
    """
    check_frames(frames, least=3)
    middle = (frames[:-2] + frames[2:]) / 2
    return float((frames[1:-1] - middle).square().mean().sqrt())


def still_points(source: Tensor, largest_range: float = STILL_RANGE) -> Tensor:
    """Return where the source (T,3,H,W) is still over the whole clip: (H,W) bool."""
    spread = source.amax(0) - source.amin(0)
    return (spread <= largest_range).all(0)


def high_frequency_power(frames: Tensor, source: Tensor) -> float | None:
    """Power of fast flicker where the source is still.

    Each still point's values over time, minus their mean and times a Hann window w, are Fourier
    transformed. The result is `sum over |f| > fps/3 of |X(f)|^2 / (T sum w^2)`, the mean over
    points and channels: the part of the variance in time above a third of the frame rate.
    Frequencies are in cycles per frame, so the value does not depend on the frame rate. Range 0 to
    0.25; lower is better. A flicker between 0 and a gives a^2/4, white noise of variance s^2 gives
    s^2/3, slow changes give nearly 0.
    It sees only points that are still in the source. Fast changes that the edit asks for (snow,
    fire) count as flicker; slow drift does not show (`fairy.metrics.drift`). Source: own.

    Args:
        frames: (T,3,H,W) in [0,1], T at least 8.
        source: (T,3,H,W) in [0,1], the clip before the edit.

    Returns:
        The power; None (not measured) if nothing in the source is still.

    Raises:
        ValueError: the shapes differ, or fewer than 8 frames.
    """
    check_pair(frames, source, least=LEAST_FRAMES_FOR_POWER)
    still = still_points(source)
    if not still.any():
        return None
    values = frames[:, :, still].flatten(1)
    window = torch.hann_window(len(frames), dtype=values.dtype, device=values.device)
    mean = (window[:, None] * values).sum(0) / window.sum()
    spectrum = torch.fft.fft(window[:, None] * (values - mean), dim=0).abs().square()
    fast = torch.fft.fftfreq(len(frames), device=values.device).abs() > 1 / 3
    return float(spectrum[fast].sum(0).mean() / (len(frames) * window.square().sum()))
