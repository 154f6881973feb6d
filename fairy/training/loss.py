"""What the stages minimise. Images (B,3,H,W) in [-1,1], latents (B,C,h,w).

Tests: tests/training/test_loss.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The zero-noise end of the schedule is step 0, the pure-noise end step 999, as in SD 1.5.
LAST_TIMESTEP = 999
# Mean difference of latents (which spread by about 0.5) from which a place counts as changed.
CHANGED = 0.02
# No place counts more than this many times its even share, however small its part: a few places
# that a look leaves as they were by chance say little.
MAX_FOCUS = 8


def reconstruction_loss(images: Tensor, outputs: Tensor) -> Tensor:
    """L1 + 2 MSE + half the L1 of image gradients: the last keeps thin lines thin."""
    error = outputs - images
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    right = (error[..., 1:] - error[..., :-1]).abs().mean()
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * (down + right)


def draw_timesteps(batch_size: int, power: float, generator: torch.Generator) -> Tensor:
    """Draw t = 999 * u**(1/power), rounded, u uniform on [0,1]; (B,) int64.

    The density rises as t**(power - 1): high noise, where an edit's layout and colours are
    decided, and where few-step samplers spend their steps, is seen more often.
    """
    uniform = torch.rand(batch_size, generator=generator, device=generator.device)
    return (LAST_TIMESTEP * uniform ** (1 / power)).round().long()


def draw_drops(
    batch_size: int, text: float, image: float, both: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw which rows lose which condition: two (B,) bool tensors, (text, image) dropped.

    Args:
        batch_size: rows.
        text: share of rows that lose the instruction alone.
        image: share of rows that lose the source image alone.
        both: share of rows that lose both.
        generator: source of the draws.
    """
    uniform = torch.rand(batch_size, generator=generator, device=generator.device)
    drop_text = uniform < text + both
    drop_image = (uniform >= text) & (uniform < text + both + image)
    return drop_text, drop_image


def change_weights(source: Tensor, target: Tensor, share: float) -> Tensor:
    """Weight what tells an edit from its neighbours: (B,1,h,w), mean 1 in each row.

    Where an edit changes some places and leaves others, `share` of a row's weight is spread over
    the smaller of the two: over the shape to recolour, over the shapes that keep their colour
    before a grey background. Without it a shape of a twentieth of the picture has a twentieth of
    the loss. A row that changes everywhere, or nowhere, is weighted evenly.

    Args:
        source: latents (B,C,h,w) of the source.
        target: latents (B,C,h,w) of the target.
        share: 0 to 1.
    """
    changed = (target - source).abs().mean(1, keepdim=True) > CHANGED
    mostly = changed.float().mean((1, 2, 3), keepdim=True) > 0.5
    smaller = (changed != mostly).to(target.dtype)
    area = smaller.mean((1, 2, 3), keepdim=True)
    weights = 1 - share + share * smaller / area.clamp_min(1 / MAX_FOCUS)
    return weights / weights.mean((1, 2, 3), keepdim=True)


def denoising_loss(prediction: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean squared error of a prediction, in float32.

    Args:
        prediction: the UNet's, (B,C,h,w).
        wanted: noise or velocity (Salimans & Ho 2022), whichever it predicts, (B,C,h,w).
        weights: (B,1,h,w), as of `change_weights`.
    """
    error = (prediction.float() - wanted.float()).square().mean(1, keepdim=True)
    return (error * weights).mean()


def psnr_db(outputs: Tensor, targets: Tensor) -> float:
    """Return the mean over images of the peak signal-to-noise ratio; inputs in [-1,1]."""
    error = ((outputs - targets) / 2).square().mean((1, 2, 3)).clamp_min(1e-10)
    return float((-10 * error.log10()).mean())
