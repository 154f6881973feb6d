"""Whole-image looks as pure functions: images (B,3,H,W) in [0,1] in and out.

Each is the exact target of an instruction (`fairy.synthetic.edits`). Lengths are in pixels of a
picture with a shorter side of 128, and scale with the picture, so a look is the same at any size.
Looks that leave a choice open: `fairy.synthetic.free_looks`.
Tests: tests/synthetic/test_looks.py.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d, sobel
from torch import Tensor

# ITU-R BT.601 luma.
LUMA = (0.299, 0.587, 0.114)


def luma(image: Tensor) -> Tensor:
    """Return the brightness (B,1,H,W) of images (B,3,H,W)."""
    weights = torch.tensor(LUMA, device=image.device, dtype=image.dtype)
    return (image * weights[:, None, None]).sum(1, keepdim=True)


# Shorter side at which this file's lengths are in pixels.
REFERENCE_SIDE_PX = 128


def scale_of(image: Tensor) -> float:
    """Return how many pixels of images (B,C,H,W) one pixel at the reference size is."""
    return min(image.shape[2:]) / REFERENCE_SIDE_PX


def blur(image: Tensor, sigma: float) -> Tensor:
    """Return images blurred by a Gaussian of `sigma` pixels at the reference size."""
    sigma_px = sigma * scale_of(image)
    size = 2 * int(3 * sigma_px + 0.5) + 1
    blurred: Tensor = gaussian_blur2d(image, (size, size), (sigma_px, sigma_px))
    return blurred


def ramp(grey: Tensor, stops: list[tuple[float, float, float]] | Tensor) -> Tensor:
    """Map grey (B,1,H,W) through evenly spaced colour stops ((S,3) or (B,S,3)) to (B,3,H,W)."""
    table = torch.as_tensor(stops, dtype=grey.dtype, device=grey.device)
    table = table.expand(len(grey), -1, -1)
    position = grey.clamp(0, 1) * (table.shape[1] - 1)
    image = torch.zeros_like(grey).expand(-1, 3, -1, -1)
    for index in range(table.shape[1]):
        weight = (1 - (position - index).abs()).clamp(0, 1)
        image = image + weight * table[:, index, :, None, None]
    return image


def _colour(red: float, green: float, blue: float, like: Tensor) -> Tensor:
    return torch.tensor([red, green, blue], dtype=like.dtype, device=like.device)[:, None, None]


def edges(image: Tensor) -> Tensor:
    """Return the edge strength (B,1,H,W), about 1 for a full-contrast step."""
    strength: Tensor = sobel(blur(luma(image), 0.8))
    return strength * 4 * scale_of(image)


def soft_levels(image: Tensor, steps: int, softness: float = 0.08) -> Tensor:
    """Round images in [0,1] to multiples of 1 / steps, with soft steps between the levels.

    `softness` is the width of a step in levels. A hard threshold would turn a small error before
    it into a large one after it, and a small model cannot learn that.
    """
    level = image * steps
    # A sigmoid, stretched to reach 0 and 1 at the ends of each level.
    tail = 1 / (1 + math.exp(0.5 / softness))
    rise = (torch.sigmoid((level % 1 - 0.5) / softness) - tail) / (1 - 2 * tail)
    rounded: Tensor = (level.floor() + rise) / steps
    return rounded


def black_and_white(image: Tensor) -> Tensor:
    """Brightness only."""
    return luma(image).expand_as(image)


def sepia(image: Tensor) -> Tensor:
    """Brown-toned print."""
    return ramp(luma(image), [(0.10, 0.05, 0.02), (0.62, 0.45, 0.28), (1.0, 0.93, 0.78)])


def negative(image: Tensor) -> Tensor:
    """Photographic negative."""
    return 1 - image


def night(image: Tensor) -> Tensor:
    """Dark and blue, as under the moon."""
    dim = torch.lerp(luma(image).expand_as(image), image, 0.4) ** 1.3
    return (dim * _colour(0.22, 0.30, 0.52, image) + _colour(0.0, 0.01, 0.05, image)).clamp(0, 1)


def sunset(image: Tensor) -> Tensor:
    """Low orange light, glowing in bright areas."""
    warm = image * _colour(1.10, 0.70, 0.42, image)
    glow = _colour(1.0, 0.52, 0.20, image)
    return torch.lerp(warm, glow, 0.55 * blur(luma(image), 2.0) ** 2).clamp(0, 1)


def winter(image: Tensor) -> Tensor:
    """Cold light, and snow where the ground is bright or green."""
    cold = torch.lerp(luma(image).expand_as(image), image, 0.35) * _colour(0.9, 1.0, 1.12, image)
    greenness = image[:, 1:2] - torch.minimum(image[:, :1], image[:, 2:])
    amount = ((blur(luma(image) + 2.5 * greenness, 1.0) - 0.35) / 0.3).clamp(0, 1)
    snow = _colour(0.93, 0.97, 1.0, image) * (0.75 + 0.25 * luma(image))
    return torch.lerp(cold.clamp(0, 1), snow, 0.85 * amount)


def fog(image: Tensor) -> Tensor:
    """Grey haze that removes contrast and colour, blurred as in the distance."""
    soft = torch.lerp(luma(image).expand_as(image), image, 0.4)
    return torch.lerp(blur(soft, 1.0), _colour(0.80, 0.82, 0.84, image).expand_as(soft), 0.62)


def pencil_sketch(image: Tensor) -> Tensor:
    """Dark strokes on paper: brightness divided by its blurred version."""
    grey = luma(image)
    strokes = (grey + 0.05) / (blur(grey, 2.5) + 0.05)
    return (strokes.clamp(0, 1) ** 2.5).expand_as(image)


def poster(image: Tensor) -> Tensor:
    """A few flat, strong colours."""
    strong = torch.lerp(luma(image).expand_as(image), image, 1.6).clamp(0, 1)
    return soft_levels(blur(strong, 1.0), 3)


def pixel_art(image: Tensor) -> Tensor:
    """Square blocks of one colour each, sixteen along the shorter side."""
    side_px = max(2, round(8 * scale_of(image)))
    blocks = F.avg_pool2d(image, side_px, ceil_mode=True)
    blocks = (blocks * 7).round() / 7
    blocks = blocks.repeat_interleave(side_px, 2).repeat_interleave(side_px, 3)
    return blocks[..., : image.shape[2], : image.shape[3]]


def emboss(image: Tensor) -> Tensor:
    """Grey relief, lit from the upper left."""
    grey = F.pad(blur(luma(image), 0.8), (1, 1, 1, 1), mode="replicate")
    relief = (grey[..., 2:, 2:] - grey[..., :-2, :-2]) * scale_of(image)
    return (0.5 + 1.8 * relief).clamp(0, 1).expand_as(image)


def warm_film(image: Tensor) -> Tensor:
    """Faded film: lifted blacks, yellow highlights."""
    faded = 0.14 + 0.78 * torch.lerp(luma(image).expand_as(image), image, 0.75)
    return (faded * _colour(1.08, 1.0, 0.80, image)).clamp(0, 1)


def high_contrast(image: Tensor) -> Tensor:
    """Deep blacks and bright whites."""
    return torch.sigmoid((image - 0.5) * 11)


def blueprint(image: Tensor) -> Tensor:
    """White outlines on blue."""
    paper, ink = _colour(0.06, 0.20, 0.50, image), _colour(0.88, 0.95, 1.0, image)
    return torch.lerp(paper.expand_as(image), ink.expand_as(image), edges(image).clamp(0, 1))


def thermal(image: Tensor) -> Tensor:
    """Thermal camera: dark is blue, bright is yellow."""
    stops = [(0.0, 0.0, 0.2), (0.45, 0.0, 0.6), (0.9, 0.15, 0.2), (1.0, 0.7, 0.0), (1.0, 1.0, 0.8)]
    return ramp(luma(image), stops)


def comic(image: Tensor) -> Tensor:
    """Flat strong colours with black outlines."""
    ink = 1 - (1.6 * edges(image) - 0.25).clamp(0, 1)
    strong = torch.lerp(luma(image).expand_as(image), image, 1.5).clamp(0, 1)
    flat = soft_levels(blur(strong, 1.2), 4)
    return (0.12 + 0.88 * flat) * ink
