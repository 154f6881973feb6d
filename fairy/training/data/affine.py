"""The paper's equivariant augmentation: one random affine map for the source and the target.

A model that should learn I -> I' is trained on g(I) -> g(I') for random maps g: rotation,
translation, scale and shear (section 3 of the Fairy paper; its ranges are in the recipes). Then
both are cropped at the same position. Map and crop are one bilinear sampling, so pictures are
blurred only once.

Borders: if the crop reaches outside the picture, both pictures are reflected at their edges. The
target's border is then the edit of the source's border, so the pair is still correct. With black
borders the model would learn to copy black wedges.

Images (B,C,H,W); parameters (B,6), see `PARAMETERS`; theta (B,2,3) maps source to output pixels,
(x, y) from the centre of the first pixel. Tests: tests/training/data/test_affine.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from kornia.geometry.transform import get_affine_matrix2d, warp_affine
from torch import Tensor

from fairy.training.config import TrainConfig

PARAMETERS = ("rotation_deg", "move_x", "move_y", "scale", "shear_x_deg", "shear_y_deg")


@dataclass(frozen=True)
class AffineRanges:
    """Ranges to draw maps from; the defaults are the identity.

    Attributes:
        rotation_deg: largest angle, in either direction.
        translation: largest share of width and height, in either direction.
        scale: smallest and largest factor.
        shear_deg: largest angle along each axis, in either direction.
    """

    rotation_deg: float = 0.0
    translation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shear_deg: float = 0.0

    @classmethod
    def of(cls, config: TrainConfig) -> AffineRanges:
        """Return the ranges of a recipe."""
        return cls(
            config.affine_rotation_deg,
            config.affine_translation,
            config.affine_scale,
            config.affine_shear_deg,
        )

    @property
    def bounds(self) -> Tensor:
        """Lower and upper bounds of `PARAMETERS`, (2,6)."""
        turn, move, shear = self.rotation_deg, self.translation, self.shear_deg
        low, high = self.scale
        return torch.tensor(
            [[-turn, -move, -move, low, -shear, -shear], [turn, move, move, high, shear, shear]]
        )


STILL = AffineRanges()


def draw_parameters(count: int, ranges: AffineRanges, generator: torch.Generator) -> Tensor:
    """Draw maps uniformly from the ranges: (count,6)."""
    low, high = ranges.bounds
    uniform = torch.rand(count, len(PARAMETERS), generator=generator)
    parameters: Tensor = low + (high - low) * uniform
    return parameters


def draw_paths(
    count: int, num_frames: int, ranges: AffineRanges, generator: torch.Generator
) -> Tensor:
    """Draw smooth paths of maps: (count * num_frames, 6), the frames of a path side by side.

    A path is a quadratic Bezier curve in parameter space with three control points drawn from the
    ranges, so it bends and never leaves them. With one frame it is a single draw.
    """
    if num_frames == 1:
        return draw_parameters(count, ranges, generator)
    start, middle, end = draw_parameters(3 * count, ranges, generator).view(3, count, 1, -1)
    time = torch.linspace(0, 1, num_frames)[None, :, None]
    path: Tensor = (1 - time) ** 2 * start + 2 * time * (1 - time) * middle + time**2 * end
    return path.flatten(0, 1)


def draw_corners(
    count: int, size: tuple[int, int], crop: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Draw the upper left corners (count,2), (x, y) in whole px, of crops inside `size`."""
    room = torch.tensor([size[1] - crop[1], size[0] - crop[0]])
    uniform = torch.rand(count, 2, generator=generator)
    return (uniform * (room + 1)).floor().minimum(room.float())


def affine_matrices(parameters: Tensor, size: tuple[int, int]) -> Tensor:
    """Return theta (B,2,3) of parameters (B,6): shear, scale, rotate about the centre, shift."""
    height, width = size
    angle, x, y, scale, shear_x, shear_y = parameters.unbind(-1)
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2]).expand(len(parameters), -1)
    theta: Tensor = get_affine_matrix2d(
        torch.stack([x * width, y * height], dim=-1),
        centre,
        torch.stack([scale, scale], dim=-1),
        angle,
        shear_x.deg2rad(),
        shear_y.deg2rad(),
    )
    return theta[:, :2]


def warp(images: Tensor, theta: Tensor, corners: Tensor, crop: tuple[int, int]) -> Tensor:
    """Map images (B,C,H,W) by theta (B,2,3), then cut (height, width) `crop` at corners (B,2)."""
    moved = theta.clone()
    moved[..., 2] -= corners
    warped: Tensor = warp_affine(
        images, moved.to(images), crop, padding_mode="reflection", align_corners=True
    )
    return warped


def moves(config: TrainConfig) -> bool:
    """Whether a recipe uses maps, crops or pseudo-clips."""
    return config.clip_frames > 1 or config.resize_scale > 1 or AffineRanges.of(config) != STILL


def move_pairs(
    source: Tensor,
    target: Tensor,
    crop: tuple[int, int],
    config: TrainConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Map source and target of each pair together; every pair becomes a path of frames.

    Args:
        source: (P,3,H,W).
        target: (P,3,H,W).
        crop: (height, width) of the result.
        config: ranges, and `clip_frames` F.
        generator: makes all draws; the frames of a path share their crop.

    Returns:
        Source and target (P*F,3,h,w), row p*F+f.
    """
    pairs, frames, size = len(source), config.clip_frames, (source.shape[2], source.shape[3])
    parameters = draw_paths(pairs, frames, AffineRanges.of(config), generator)
    corners = draw_corners(pairs, size, crop, generator).repeat_interleave(frames, dim=0)
    theta = affine_matrices(parameters, size)
    # Stacked along channels, so both are sampled at exactly the same points.
    both = torch.cat([source, target], dim=1).repeat_interleave(frames, dim=0)
    moved_source, moved_target = warp(both, theta, corners, crop).chunk(2, dim=1)
    return moved_source, moved_target
