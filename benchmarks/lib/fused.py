"""Candidates for `fairy_kernels`: GroupNorm with SiLU, and GEGLU, each as Triton kernels.

No edit uses them. If benchmarks/speed/bench_fusions.py shows on a GPU that they are faster than the
same layers with torch.compile, they move there; otherwise they are deleted.

GroupNorm: x (B,C,H,W) in channels_last, so a pixel's channels are adjacent in memory. It has three
launches: sums per channel over runs of pixels; a factor and an offset per channel; and the result,
for which x is read again. The sums use differences from the channel's first pixel, so a mean far
from zero does not cancel the spread. GEGLU: x (M,2W), value and gate side by side, to (M,W).
Tests: tests/benchmarks/lib/test_fused.py.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

# Pixels per program, pixels at a time, and channels
RUN, ROWS, CHANNELS = 256, 16, 128
COLUMNS = 1024


# fmt: off
@triton.jit
def sum_kernel(
    x_ptr, sums_ptr, num_pixels, num_channels, num_runs,
    RUN: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):
# fmt: on
    """Write the sums (B,runs,2,C) of x - x[first pixel] and of its square."""
    run, image = tl.program_id(0), tl.cast(tl.program_id(2), tl.int64)
    channels = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    known = channels < num_channels
    x_ptr += image * num_pixels * num_channels
    first = tl.load(x_ptr + channels, mask=known, other=0.0).to(tl.float32)
    total = tl.zeros([CHANNELS], tl.float32)
    squares = tl.zeros([CHANNELS], tl.float32)
    for start in range(0, RUN, ROWS):
        pixels = run * RUN + start + tl.arange(0, ROWS)
        inside = (pixels < num_pixels)[:, None] & known[None, :]
        at = x_ptr + tl.cast(pixels, tl.int64)[:, None] * num_channels + channels[None, :]
        x = tl.load(at, mask=inside, other=0.0).to(tl.float32)
        off = tl.where(inside, x - first[None, :], 0.0)
        total += tl.sum(off, 0)
        squares += tl.sum(off * off, 0)
    sums_ptr += (image * num_runs + run) * 2 * num_channels
    tl.store(sums_ptr + channels, total, mask=known)
    tl.store(sums_ptr + num_channels + channels, squares, mask=known)


# fmt: off
@triton.jit
def combine_kernel(
    x_ptr, sums_ptr, weight_ptr, bias_ptr, factors_ptr,
    num_pixels, num_channels, num_runs, width, eps,
    RUNS: tl.constexpr, WIDTH: tl.constexpr,
):
# fmt: on
    """Write factor and offset (B,2,C) of a group's `width` channels, from their sums."""
    group, image = tl.program_id(0), tl.cast(tl.program_id(1), tl.int64)
    within = tl.arange(0, WIDTH)
    channels, known = group * width + within, within < width
    runs = tl.arange(0, RUNS)
    inside = (runs < num_runs)[:, None] & known[None, :]
    at = sums_ptr + (image * num_runs + runs[:, None]) * 2 * num_channels + channels[None, :]
    total = tl.sum(tl.load(at, mask=inside, other=0.0), 0)
    squares = tl.sum(tl.load(at + num_channels, mask=inside, other=0.0), 0)
    first = tl.load(x_ptr + image * num_pixels * num_channels + channels, mask=known, other=0.0)
    means = tl.where(known, first.to(tl.float32) + total / num_pixels, 0.0)
    mean = tl.sum(means, 0) / width
    apart = tl.where(known, means - mean, 0.0)
    spread = squares - total * total / num_pixels + num_pixels * apart * apart
    deviation = tl.sqrt(tl.sum(spread, 0) / (num_pixels * width) + eps)
    factor = tl.load(weight_ptr + channels, mask=known, other=0.0).to(tl.float32) / deviation
    offset = tl.load(bias_ptr + channels, mask=known, other=0.0).to(tl.float32) - mean * factor
    factors_ptr += image * 2 * num_channels
    tl.store(factors_ptr + channels, factor, mask=known)
    tl.store(factors_ptr + num_channels + channels, offset, mask=known)


# fmt: off
@triton.jit
def apply_kernel(
    x_ptr, factors_ptr, out_ptr, num_pixels, num_channels,
    RUN: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):
# fmt: on
    """Write silu(x * factor + offset)."""
    run, image = tl.program_id(0), tl.cast(tl.program_id(2), tl.int64)
    channels = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    known = channels < num_channels
    factors_ptr += image * 2 * num_channels
    factor = tl.load(factors_ptr + channels, mask=known, other=0.0)
    offset = tl.load(factors_ptr + num_channels + channels, mask=known, other=0.0)
    for start in range(0, RUN, ROWS):
        pixels = run * RUN + start + tl.arange(0, ROWS)
        inside = (pixels < num_pixels)[:, None] & known[None, :]
        pixel = image * num_pixels + pixels
        at = pixel[:, None] * num_channels + channels[None, :]
        x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
        y = x * factor[None, :] + offset[None, :]
        y = y / (1 + tl.exp(-y))
        tl.store(out_ptr + at, y.to(out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def geglu_kernel(x_ptr, out_ptr, width, COLUMNS: tl.constexpr):
    """Write value * gelu(gate), the exact gelu, for COLUMNS columns of a row."""
    row = tl.cast(tl.program_id(0), tl.int64)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = columns < width
    x_ptr += row * 2 * width
    value = tl.load(x_ptr + columns, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(x_ptr + width + columns, mask=inside, other=0.0).to(tl.float32)
    gelu = 0.5 * gate * (1 + tl.erf(gate * 0.7071067811865476))
    out = (value * gelu).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + row * width + columns, out, mask=inside)


def group_norm_silu(
    x: Tensor, num_groups: int, weight: Tensor, bias: Tensor, eps: float = 1e-5
) -> Tensor:
    """Return silu(group_norm(x)), both (B,C,H,W) in channels_last.

    Args:
        x: images in channels_last, C a multiple of `num_groups`.
        num_groups: number of groups; a group's consecutive channels are normalised together.
        weight: (C,).
        bias: (C,).
        eps: added to the variance.

    Raises:
        ValueError: x is not in channels_last.
    """
    if not x.is_contiguous(memory_format=torch.channels_last):
        raise ValueError("x is not in channels_last")
    num_images, num_channels, height, width = x.shape
    num_pixels, num_runs = height * width, triton.cdiv(height * width, RUN)
    out = torch.empty_like(x)
    sums = torch.empty(num_images, num_runs, 2, num_channels, device=x.device)
    factors = torch.empty(num_images, 2, num_channels, device=x.device)
    tiles = (num_runs, triton.cdiv(num_channels, CHANNELS), num_images)
    size = {"RUN": RUN, "ROWS": ROWS, "CHANNELS": CHANNELS}
    per_group = num_channels // num_groups
    with torch.cuda.device_of(x):
        sum_kernel[tiles](x, sums, num_pixels, num_channels, num_runs, **size)
        combine_kernel[num_groups, num_images](
            x, sums, weight, bias, factors, num_pixels, num_channels, num_runs, per_group, eps,
            RUNS=triton.next_power_of_2(num_runs), WIDTH=triton.next_power_of_2(per_group),
        )  # fmt: skip
        apply_kernel[tiles](x, factors, out, num_pixels, num_channels, **size)
    return out


def geglu(x: Tensor) -> Tensor:
    """Return value * gelu(gate) (...,W) of x (...,2W), value first."""
    width = x.shape[-1] // 2
    out = torch.empty((*x.shape[:-1], width), dtype=x.dtype, device=x.device)
    with torch.cuda.device_of(x):
        geglu_kernel[out.numel() // width, triton.cdiv(width, COLUMNS)](
            x.contiguous(), out, width, COLUMNS=COLUMNS
        )
    return out
