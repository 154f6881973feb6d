"""Losses, their weights, and the draws of timesteps and dropped conditions.

Images (B,3,H,W) in [-1,1], latents (B,C,h,w).
Tests: tests/training/test_loss.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.training.config import LAST_TIMESTEP

# A block counts as changed if its pixels differ by more than this on average, in [-1,1].
CHANGED = 0.02
# No block weighs more than this many times its even share: if an edit of the whole picture happens
# to leave a few blocks unchanged, they mean little.
MAX_FOCUS = 8
# One-to-many edits are not trained below this: the noisy latents already show the choice.
FIRST_OPEN_TIMESTEP = 100


def reconstruction_loss(images: Tensor, outputs: Tensor) -> Tensor:
    """Return 2 MSE + 0.1 L1, close to PSNR, which is how the autoencoder is judged."""
    error = outputs - images
    return 2 * error.square().mean() + 0.1 * error.abs().mean()


def draw_timesteps(batch_size: int, power: float, generator: torch.Generator) -> Tensor:
    """Draw t = 999 * u**(1/power), rounded, u uniform on [0,1]; (B,) int64.

    The density rises as t**(power - 1), so high noise is more frequent. High noise decides an
    edit's layout and colours, and few-step samplers spend their steps there.
    """
    uniform = torch.rand(batch_size, generator=generator, device=generator.device)
    return (LAST_TIMESTEP * uniform ** (1 / power)).round().long()


def draw_few_timesteps(
    timesteps: tuple[int, ...],
    jitter: int,
    first_share: float,
    batch_size: int,
    generator: torch.Generator,
) -> Tensor:
    """Draw from the timesteps that sampling with few steps uses: (B,) int64.

    Args:
        timesteps: the first is pure noise; the others are equally likely.
        jitter: the others are moved by up to this, within the schedule.
        first_share: share of rows at the first timestep.
        batch_size: rows B.
        generator: makes the draws.
    """
    first, *others = timesteps
    is_first = torch.rand(batch_size, generator=generator) < first_share
    chosen = torch.randint(max(len(others), 1), (batch_size,), generator=generator)
    moved = torch.randint(-jitter, jitter + 1, (batch_size,), generator=generator)
    later = (torch.tensor(others or [first])[chosen] + moved).clamp(0, LAST_TIMESTEP)
    return torch.where(is_first, first, later)


def draw_open_timesteps(last_share: float, batch_size: int, generator: torch.Generator) -> Tensor:
    """Draw timesteps of one-to-many edits: (B,) int64, `last_share` of them at pure noise.

    The others are uniform: the choice forms step by step, so sampling needs more steps.
    """
    is_last = torch.rand(batch_size, generator=generator) < last_share
    shape = (batch_size,)
    uniform = torch.randint(FIRST_OPEN_TIMESTEP, LAST_TIMESTEP + 1, shape, generator=generator)
    return torch.where(is_last, LAST_TIMESTEP, uniform)


def draw_drops(
    batch_size: int, text: float, image: float, both: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw which rows lose which condition: two (B,) bool tensors, (text, image) dropped.

    Args:
        batch_size: rows.
        text: share of rows that lose only the instruction.
        image: share of rows that lose only the source image.
        both: share of rows that lose both.
        generator: makes the draws.
    """
    uniform = torch.rand(batch_size, generator=generator, device=generator.device)
    drop_text = uniform < text + both
    drop_image = (uniform >= text) & (uniform < text + both + image)
    return drop_text, drop_image


def change_weights(
    source: Tensor, target: Tensor, grid: int, share: float, objects: Tensor | None = None
) -> Tensor:
    """Return weights (B,1,H/grid,W/grid), mean 1 per row, that emphasise what an edit is about.

    If an edit changes some blocks and keeps others, `share` of a row's weight is spread over the
    smaller part: the shape to recolour, or the shapes that keep their colour on a grey background.
    Otherwise a shape that covers a twentieth of the picture would have a twentieth of the loss. A
    row that changes everywhere, or nowhere, has even weights.

    If an edit changes some objects and leaves others, half of `share` goes to those that it
    leaves. Otherwise a model learns to change all of them, whatever the instruction names.

    Args:
        source: (B,3,H,W) in [-1,1].
        target: (B,3,H,W) in [-1,1].
        grid: side of a block in pixels: the pictures' size divided by the latents' size.
        share: 0 to 1.
        objects: (B,H,W), True where the source shows an object; None if that is not known.
    """
    difference = (target - source).abs().mean(1, keepdim=True)
    changed = F.avg_pool2d(difference, grid) > CHANGED
    mostly = changed.float().mean((1, 2, 3), keepdim=True) > 0.5
    smaller = changed != mostly
    focus = _spread(smaller)
    if objects is not None:
        shown = F.avg_pool2d(objects[:, None].to(target.dtype), grid) > 0.5
        left = shown & ~changed & ~mostly
        some = smaller.any((1, 2, 3), keepdim=True) & left.any((1, 2, 3), keepdim=True)
        focus = torch.where(some, (focus + _spread(left)) / 2, focus)
    weights = 1 - share + share * focus
    return weights / weights.mean((1, 2, 3), keepdim=True)


def _spread(part: Tensor) -> Tensor:
    """Spread one picture's weight over the blocks of a part (B,1,h,w), up to MAX_FOCUS each."""
    area = part.float().mean((1, 2, 3), keepdim=True)
    return part / area.clamp_min(1 / MAX_FOCUS)


def channel_weights(deviations: Tensor, power: float) -> Tensor:
    """Return weights (1,C,1,1) for the channels of a linear code, mean 1.

    Unweighted, the faintest detail counts as much as brightness, because the latents are whitened.
    Weighted by their variance in the picture (power 1), the loss is the squared error of pixels.
    Training is fastest in between (power 0.5).

    Args:
        deviations: (C,) standard deviation of each component in the picture.
        power: exponent of the variance; 0 weighs all equally.
    """
    weights = (deviations / deviations[0]).square() ** power
    return (weights / weights.mean())[None, :, None, None]


def denoising_loss(
    prediction: Tensor, target: Tensor, weights: Tensor, channels: Tensor | float = 1.0
) -> Tensor:
    """Weighted mean squared error of a prediction, in float32.

    Args:
        prediction: the UNet's prediction (B,C,h,w).
        target: clean latents, noise or velocity (Salimans & Ho 2022), whichever it predicts.
        weights: (B,1,h,w), from `change_weights`.
        channels: (1,C,1,1), from `channel_weights`.
    """
    error = (prediction.float() - target.float()).square() * channels
    return (error.mean(1, keepdim=True) * weights).mean()


def psnr_db(outputs: Tensor, targets: Tensor) -> float:
    """Return the mean over images of the peak signal-to-noise ratio; inputs in [-1,1]."""
    error = ((outputs - targets) / 2).square().mean((1, 2, 3)).clamp_min(1e-10)
    return float((-10 * error.log10()).mean())
