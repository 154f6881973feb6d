"""Backgrounds without photographs: smooth noise, and dead leaves (overlapping discs).

Images (B,3,H,W) in [0,1]. Tests: tests/synthetic/test_backgrounds.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.synthetic.scenes import pixel_grid


def smooth_noise(
    shape: tuple[int, int], size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Return noise (*shape,H,W) in [0,1] whose amplitude falls with frequency, octave by octave."""
    total = torch.zeros(*shape, *size)
    cells, amplitude = 2, 1.0
    while cells <= min(size) // 2:
        grid = torch.randn(*shape, cells + 2, cells + 2, generator=generator)
        total += amplitude * F.interpolate(grid, size, mode="bicubic")
        cells, amplitude = cells * 2, amplitude * 0.6
    return (0.5 + 0.17 * total).clamp(0, 1)


def dead_leaves(
    batch_size: int, size: tuple[int, int], generator: torch.Generator, num_leaves: int = 24
) -> Tensor:
    """Return overlapping textured discs (B,3,H,W) in [0,1], sizes falling off as 1/r^3.

    Source: Lee, Mumford and Huang, "Occlusion Models for Natural Images" (2001).
    """
    grid = pixel_grid(size)
    image = tinted(smooth_noise((batch_size, 3), size, generator), generator)
    texture = smooth_noise((batch_size, 1), size, generator)
    reach = torch.tensor([size[1], size[0]]) / min(size)
    for _ in range(num_leaves):
        uniform = torch.rand(batch_size, 3, generator=generator)
        radius = 0.12 / (1 - 0.97 * uniform[:, 2]).sqrt()
        centre = (uniform[:, :2] * 2.2 - 1.1) * reach
        distance = (grid - centre[:, None, None]).norm(dim=-1) - radius[:, None, None]
        alpha = (0.5 - distance * (min(size) / 2)).clamp(0, 1)[:, None]
        colour = torch.rand(batch_size, 3, 1, 1, generator=generator)
        muted = torch.lerp(colour.mean(1, keepdim=True), colour, 0.6)
        image = torch.lerp(image, (muted * (0.6 + 0.8 * texture)).clamp(0, 1), alpha)
    return image


def tinted(noise: Tensor, generator: torch.Generator) -> Tensor:
    """Reduce the saturation of noise (B,3,H,W) and apply a tint and a brightness gradient."""
    grey = torch.lerp(noise.mean(1, keepdim=True), noise, 0.5)
    colour = 0.6 + 0.8 * torch.rand(len(noise), 3, 1, 1, generator=generator)
    slope = torch.linspace(0.7, 1.2, noise.shape[2])[:, None].flip(0)
    return (grey * colour * slope).clamp(0, 1)
