"""Whole-image looks as pure functions: images (B,3,H,W) in [0,1] in and out.

Each is the exact target of an instruction (`fairy.synthetic.edits`). Lengths are in pixels of the
image as given. Looks with a free choice take a generator and draw it for each row.
Tests: tests/synthetic/test_looks.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d, sobel
from torch import Tensor

from fairy.synthetic.scenes import pixel_grid, random_colours

# ITU-R BT.601 luma.
LUMA = (0.299, 0.587, 0.114)


def luma(image: Tensor) -> Tensor:
    """Return the brightness (B,1,H,W) of images (B,3,H,W)."""
    weights = torch.tensor(LUMA, device=image.device, dtype=image.dtype)
    return (image * weights[:, None, None]).sum(1, keepdim=True)


def blur(image: Tensor, sigma_px: float) -> Tensor:
    """Return images blurred by a Gaussian of `sigma_px`."""
    size = 2 * int(3 * sigma_px + 0.5) + 1
    blurred: Tensor = gaussian_blur2d(image, (size, size), (sigma_px, sigma_px))
    return blurred


def _ramp(grey: Tensor, stops: list[tuple[float, float, float]] | Tensor) -> Tensor:
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


def _edges(image: Tensor) -> Tensor:
    """Return the edge strength (B,1,H,W), about 1 for a full-contrast step."""
    strength: Tensor = sobel(blur(luma(image), 0.8))
    return strength * 4


def black_and_white(image: Tensor) -> Tensor:
    """Brightness only."""
    return luma(image).expand_as(image)


def sepia(image: Tensor) -> Tensor:
    """Brown toned print."""
    return _ramp(luma(image), [(0.10, 0.05, 0.02), (0.62, 0.45, 0.28), (1.0, 0.93, 0.78)])


def negative(image: Tensor) -> Tensor:
    """Photographic negative."""
    return 1 - image


def night(image: Tensor) -> Tensor:
    """Dark and blue, as under the moon."""
    dim = torch.lerp(luma(image).expand_as(image), image, 0.4) ** 1.3
    return (dim * _colour(0.22, 0.30, 0.52, image) + _colour(0.0, 0.01, 0.05, image)).clamp(0, 1)


def sunset(image: Tensor) -> Tensor:
    """Low orange light that glows where it is bright."""
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
    """Grey haze that swallows contrast and colour, soft like distance."""
    soft = torch.lerp(luma(image).expand_as(image), image, 0.4)
    return torch.lerp(blur(soft, 1.0), _colour(0.80, 0.82, 0.84, image).expand_as(soft), 0.62)


def pencil_sketch(image: Tensor) -> Tensor:
    """Dark strokes on paper: brightness divided by its blurred self."""
    grey = luma(image)
    strokes = (grey + 0.05) / (blur(grey, 2.5) + 0.05)
    return (strokes.clamp(0, 1) ** 2.5).expand_as(image)


def poster(image: Tensor) -> Tensor:
    """Few flat, strong colours."""
    strong = torch.lerp(luma(image).expand_as(image), image, 1.6).clamp(0, 1)
    return (blur(strong, 1.0) * 3).round() / 3


def pixel_art(image: Tensor, side_px: int = 8) -> Tensor:
    """Square blocks of one colour each."""
    blocks = F.avg_pool2d(image, side_px, ceil_mode=True)
    blocks = (blocks * 7).round() / 7
    blocks = blocks.repeat_interleave(side_px, 2).repeat_interleave(side_px, 3)
    return blocks[..., : image.shape[2], : image.shape[3]]


def emboss(image: Tensor) -> Tensor:
    """Grey relief, lit from the upper left."""
    grey = F.pad(blur(luma(image), 0.8), (1, 1, 1, 1), mode="replicate")
    relief = grey[..., 2:, 2:] - grey[..., :-2, :-2]
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
    return torch.lerp(paper.expand_as(image), ink.expand_as(image), _edges(image).clamp(0, 1))


def thermal(image: Tensor) -> Tensor:
    """Heat camera: dark is blue, bright is yellow."""
    stops = [(0.0, 0.0, 0.2), (0.45, 0.0, 0.6), (0.9, 0.15, 0.2), (1.0, 0.7, 0.0), (1.0, 1.0, 0.8)]
    return _ramp(luma(image), stops)


def comic(image: Tensor) -> Tensor:
    """Flat strong colours with black outlines."""
    ink = 1 - (1.6 * _edges(image) - 0.25).clamp(0, 1)
    strong = torch.lerp(luma(image).expand_as(image), image, 1.5).clamp(0, 1)
    flat = (blur(strong, 1.2) * 4).round() / 4
    return (0.12 + 0.88 * flat) * ink


def duotone(image: Tensor, generator: torch.Generator) -> Tensor:
    """Two colours drawn for each image: one for the shadows, one for the lights."""
    colours = random_colours((len(image), 2), generator).to(image)
    dark, light = colours[:, 0] * 0.45, 1 - (1 - colours[:, 1]) * 0.5
    return _ramp(luma(image), torch.stack([dark, light], dim=1))


def stained_glass(
    image: Tensor, generator: torch.Generator, cells_across: int = 6, colour_weight: float = 3.0
) -> Tensor:
    """Cells that follow the picture, each in a colour drawn for it, between dark lines.

    A cell takes the pixels nearest to its seed in position and colour, so cells keep to things.
    """
    height, width = image.shape[2:]
    grid = pixel_grid((height, width), image.device)
    rows = max(2, round(cells_across * height / min(height, width)))
    columns = max(2, round(cells_across * width / min(height, width)))
    lattice = pixel_grid((rows, columns)).flatten(0, 1) * (min(rows, columns) / cells_across)
    jitter = torch.rand(len(image), len(lattice), 2, generator=generator) - 0.5
    seeds = (lattice + 1.4 / cells_across * jitter).to(image)
    reach = torch.tensor([width, height], device=image.device) / min(height, width)
    smooth = blur(image, 2.0)
    seed_colours = F.grid_sample(smooth, (seeds / reach)[:, None], align_corners=False)[:, :, 0]
    distance = torch.cdist(grid.flatten(0, 1).expand(len(image), -1, -1), seeds) ** 2
    pixel_colours = smooth.flatten(2).transpose(1, 2)
    distance = distance + colour_weight * torch.cdist(pixel_colours, seed_colours.mT) ** 2
    cell = distance.argmin(-1)
    hues = random_colours((len(image), len(lattice)), generator).to(image)
    paint = hues.gather(1, cell[..., None].expand(-1, -1, 3)).mT.reshape(image.shape)
    borders = _cell_borders(cell.view(len(image), height, width))
    lit = paint * (0.35 + 0.9 * luma(smooth)).clamp(0, 1.2) * (1 - 0.85 * borders[:, None])
    return lit.clamp(0, 1)


def _cell_borders(cell: Tensor) -> Tensor:
    """Return 1 on the lines between cells (B,H,W), soft by half a pixel."""
    value = F.pad(cell[:, None].float(), (1, 1, 1, 1), mode="replicate")
    differs = (value[..., 1:-1, 1:-1] != value[..., 1:-1, 2:]) | (
        value[..., 1:-1, 1:-1] != value[..., 2:, 1:-1]
    )
    return blur(differs.float(), 0.7).clamp(0, 0.5)[:, 0] * 2


def brush_strokes(image: Tensor, generator: torch.Generator, length_px: int = 9) -> Tensor:
    """Smeared along one direction drawn for each image, with bristle streaks."""
    angle = torch.rand(len(image), generator=generator) * torch.pi
    step = torch.stack([angle.cos(), angle.sin()], dim=-1).to(image)
    height, width = image.shape[2:]
    to_unit = 2 / torch.tensor([width, height], device=image.device)
    grid = pixel_grid((height, width), image.device) * (min(height, width) / 2) * to_unit
    bristles = torch.rand(len(image), 1, height, width, generator=generator).to(image)
    layers = torch.cat([image, 0.75 + 0.5 * bristles], dim=1)
    total = torch.zeros_like(layers)
    for offset in range(-length_px // 2 + 1, length_px // 2 + 1):
        moved = grid + offset * (step * to_unit)[:, None, None]
        total += F.grid_sample(layers, moved, padding_mode="border", align_corners=False)
    colour, streak = (total / length_px).split([3, 1], dim=1)
    strong: Tensor = torch.lerp(luma(colour).expand_as(colour), colour, 1.25)
    painted: Tensor = (strong * streak).clamp(0, 1)
    return painted
