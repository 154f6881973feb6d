"""Looks that leave a choice open: their geometry comes from the source, their colours are free.

Each picture is `offset + sum over k of weight_k * choice_k`: the source determines offset and
weights, and the choice is drawn. So the same definition makes training targets (`FreeLook.apply`)
and finds the choice nearest to an edited picture (`FreeLook.nearest`). The distance to it shows
whether this is the edit at all and, fitted to a whole clip, whether the choice is steady.
Images (B,3,H,W) in [0,1]; K terms. Tests: tests/synthetic/test_free_looks.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.synthetic.colours import hsv_colour, random_colours
from fairy.synthetic.looks import LUMA, blur, luma, scale_of

# Offset (B,3,H,W) and weights (B,K,1,H,W), or (B,K,3,H,W) if the choice is not a colour.
Terms = tuple[Tensor, Tensor]
# Regularisation that keeps a fitted choice small where its weights are nearly zero.
RIDGE = 1e-4


@dataclass(frozen=True)
class FreeLook:
    """One look with a free choice.

    Attributes:
        terms: images (B,3,H,W) -> offset and weights.
        draw: (B, generator) -> choices: colours (B,K,3) or numbers (B,K,1).
    """

    terms: Callable[[Tensor], Terms]
    draw: Callable[[int, torch.Generator], Tensor]

    def apply(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (B,3,H,W) in this look, with a choice drawn for each row."""
        return combine(*self.terms(image), self.draw(len(image), generator))

    def nearest(self, source: Tensor, result: Tensor) -> Tensor:
        """Return sources (B,3,H,W) in this look, with the one choice nearest to results (B,3,H,W).

        All rows get the same choice: pass one row to judge a frame, all frames to judge a clip.
        """
        offset, weights = self.terms(source)
        return combine(offset, weights, nearest_choice(offset, weights, result))


def combine(offset: Tensor, weights: Tensor, choice: Tensor) -> Tensor:
    """Return offset + weights * choice (B,3,H,W), clamped to [0,1]."""
    image: Tensor = offset + (weights * choice[..., None, None]).sum(1)
    return image.clamp(0, 1)


def nearest_choice(offset: Tensor, weights: Tensor, result: Tensor) -> Tensor:
    """Return the least-squares choice (1,K,3 or 1) that brings all rows nearest to `result`."""
    is_colour = weights.shape[2] == 1
    difference = (result - offset).double()
    # Colours: one row per pixel, (B*H*W,K) and (B*H*W,3). Numbers: one row per channel of a pixel.
    terms = weights.double().transpose(0, 1).flatten(1).T
    values = difference.transpose(0, 1).flatten(1).T if is_colour else difference.reshape(-1, 1)
    gram = terms.T @ terms + RIDGE * torch.eye(terms.shape[1], dtype=terms.dtype)
    choice: Tensor = torch.linalg.solve(gram, terms.T @ values)[None].to(offset.dtype)
    return choice


def vivid_colours(count: int, num_terms: int, generator: torch.Generator) -> Tensor:
    """Return colours (count,num_terms,3) of full brightness and uniform random hue."""
    return hsv_colour(torch.rand((count, num_terms, 1), generator=generator), 0.88, 1.0)


def with_luma(colours: Tensor, levels: Tensor) -> Tensor:
    """Darken or whiten colours (B,K,3) until their brightness is `levels` (K,)."""
    levels = levels.to(colours)[:, None]
    brightness = (colours * torch.tensor(LUMA).to(colours)).sum(-1, keepdim=True)
    darker = colours * (levels / brightness)
    lighter = 1 - (1 - colours) * (1 - levels) / (1 - brightness).clamp_min(1e-3)
    return torch.where(levels < brightness, darker, lighter).clamp(0, 1)


def _shares(position: Tensor, edges: tuple[float, ...], width: float) -> Tensor:
    """Split position (B,1,H,W) in [0,1] at soft `edges` into shares (B,K,1,H,W) that sum to 1."""
    over = [torch.sigmoid((position - edge) / width) for edge in edges]
    above = torch.stack([torch.ones_like(position), *over], dim=1)
    return above - torch.cat([above[:, 1:], torch.zeros_like(above[:, :1])], dim=1)


def _stretched_luma(image: Tensor, sigma: float) -> Tensor:
    """Return blurred brightness (B,1,H,W), scaled to 0 and 1 at the 2nd and 98th percentile."""
    grey = blur(luma(image), sigma)
    # A sample of the pixels: quantile refuses large inputs.
    few = F.interpolate(grey, (64, 64), mode="bilinear").flatten(1)
    ends = torch.quantile(few, torch.tensor([0.02, 0.98]).to(few), dim=1)
    low, high = ends[..., None, None, None]
    stretched: Tensor = ((grey - low) / (high - low).clamp_min(0.1)).clamp(0, 1)
    return stretched


POP_LEVELS = torch.tensor([0.14, 0.38, 0.62, 0.88])


def _pop_art(image: Tensor) -> Terms:
    """Four flat tones, each in its own colour."""
    weights = _shares(_stretched_luma(image, 0.8), (0.25, 0.5, 0.75), width=0.035)
    return torch.zeros_like(image), weights


def _pop_colours(count: int, generator: torch.Generator) -> Tensor:
    return with_luma(vivid_colours(count, 4, generator), POP_LEVELS)


# Brightness, red minus green and yellow minus blue of the seven regions, and their new brightness.
REGIONS = (
    (0.12, 0.0, 0.0, 0.2),
    (0.45, 0.0, 0.0, 0.5),
    (0.85, 0.0, 0.0, 0.85),
    (0.45, 0.28, 0.0, 0.45),
    (0.45, -0.1, 0.25, 0.55),
    (0.45, -0.12, -0.25, 0.4),
    (0.55, 0.15, 0.25, 0.7),
)


def _paint_by_numbers(image: Tensor) -> Terms:
    """Regions of similar colour, each in a new colour; fine shading of the source stays."""
    smooth = blur(image, 1.2)
    red, green, blue = smooth.split(1, dim=1)
    opponent = torch.cat([luma(smooth), red - green, (red + green) / 2 - blue], dim=1)
    regions = torch.tensor(REGIONS).to(image)
    distance = (opponent[:, None] - regions[:, :3, None, None]).square().sum(2, keepdim=True)
    weights = torch.softmax(-distance / 0.012, dim=1)
    shading = 1 + 0.8 * (luma(image) - blur(luma(image), 3.0))
    return torch.zeros_like(image), weights * shading[:, None]


def _region_colours(count: int, generator: torch.Generator) -> Tensor:
    levels = torch.tensor(REGIONS)[:, 3]
    return with_luma(vivid_colours(count, len(levels), generator), levels)


def _neon(image: Tensor) -> Terms:
    """Glowing outlines over a dim picture: one colour for the lines, one for the rest."""
    grey = blur(luma(image), 1.0)
    around = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    across = around[..., 1:-1, 2:] - around[..., 1:-1, :-2]
    down = around[..., 2:, 1:-1] - around[..., :-2, 1:-1]
    lines = ((across.square() + down.square()).sqrt() * (4 * scale_of(image))).clamp(0, 1)
    glow = blur(lines, 2.0)
    weights = torch.stack([0.5 * lines + 0.4 * glow, 0.2 * grey], dim=1)
    return (0.2 * lines).expand_as(image), weights


def _two_vivid_colours(count: int, generator: torch.Generator) -> Tensor:
    return vivid_colours(count, 2, generator)


def _stage_light(image: Tensor) -> Terms:
    """Light of one colour from the left and another from the right."""
    across = torch.linspace(-3, 3, image.shape[3], device=image.device, dtype=image.dtype)
    right = torch.sigmoid(across).expand(len(image), 1, image.shape[2], -1)
    lit = 1.15 * luma(image)
    return 0.05 * image, torch.stack([lit * (1 - right), lit * right], dim=1)


# NTSC: rows are brightness and two axes of colour.
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def _other_hues(image: Tensor) -> Terms:
    """All hues rotated by one angle, brightness kept: the choice is its cosine and sine."""
    to_yiq = torch.tensor(YIQ).to(image)
    grey, first, second = torch.einsum("ij,bjhw->bihw", to_yiq, image).split(1, dim=1)
    none = torch.zeros_like(grey)
    axes = torch.stack(
        [torch.cat([none, first, second], 1), torch.cat([none, -second, first], 1)], dim=1
    )
    turned = torch.einsum("ij,bkjhw->bkihw", torch.linalg.inv(to_yiq), axes)
    return luma(image).expand_as(image), 1.3 * turned


def _angles(count: int, generator: torch.Generator) -> Tensor:
    """Return cosine and sine (count,2,1) of angles that change the hues clearly."""
    angle = 0.64 + 5.0 * torch.rand((count, 1), generator=generator)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def _duotone(image: Tensor) -> Terms:
    """Two colours: one for the shadows, one for the lights."""
    light = luma(image).clamp(0, 1)
    return torch.zeros_like(image), torch.stack([1 - light, light], dim=1)


def _dark_and_light(count: int, generator: torch.Generator) -> Tensor:
    dark, light = random_colours((count, 2), generator).unbind(1)
    return torch.stack([dark * 0.45, 1 - (1 - light) * 0.5], dim=1)


FREE_LOOKS: dict[str, FreeLook] = {
    "pop_art": FreeLook(_pop_art, _pop_colours),
    "paint_by_numbers": FreeLook(_paint_by_numbers, _region_colours),
    "neon": FreeLook(_neon, _two_vivid_colours),
    "other_hues": FreeLook(_other_hues, _angles),
    "stage_light": FreeLook(_stage_light, _two_vivid_colours),
    "duotone": FreeLook(_duotone, _dark_and_light),
}
