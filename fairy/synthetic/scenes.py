"""Rendered scenes: a background and flat textured objects with light and shadow, in batches.

A scene is a set of numbers (`SceneBatch`), and `render` draws it. Edits change the numbers and draw
the scene again, so "remove the triangle" has an exact target. samplers.py draws random scenes;
moving_scenes.py adds motion and optical flow.
Coordinates: (x, y) in units of half the shorter side, origin in the middle, y down. O objects.
Tests: tests/synthetic/test_scenes.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.synthetic.shapes import signed_distance

PLAIN, STRIPES, DOTS = range(3)
MAX_OBJECTS = 4
TEXTURE_SIDE = 32


@dataclass(frozen=True)
class SceneBatch:
    """B scenes as numbers.

    Attributes:
        canvas: (B,3,H,W) background in [0,1].
        present: (B,O) bool, whether the object is in the scene.
        kind: (B,O) index into `SHAPE_NAMES`.
        colour: (B,O,3) in [0,1].
        texture: (B,O,S,S) brightness factor over the object, around 1.
        pattern: (B,O) PLAIN, STRIPES or DOTS.
        pattern_colour: (B,O,3) in [0,1].
        pattern_pose: (B,O,4) phase x, phase y, angle in radians, period in object radii.
        pose: (B,O,4) centre x, centre y, radius, angle in radians.
        light: (B,) direction of the light source in radians.
    """

    canvas: Tensor
    present: Tensor
    kind: Tensor
    colour: Tensor
    texture: Tensor
    pattern: Tensor
    pattern_colour: Tensor
    pattern_pose: Tensor
    pose: Tensor
    light: Tensor

    def rows(self, index: Tensor | slice) -> SceneBatch:
        """Return the scenes of these rows only."""
        return SceneBatch(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class Rendered:
    """The result of `render`.

    Attributes:
        image: (B,3,H,W) in [0,1].
        labels: (B,H,W) int64, 0 for the background, o + 1 where object o is in front.
    """

    image: Tensor
    labels: Tensor


def pixel_grid(size: tuple[int, int], device: torch.device | None = None) -> Tensor:
    """Return the pixel centres (H,W,2) as (x, y) in units of half the shorter side."""
    height, width = size
    half = min(size) / 2
    y = (torch.arange(height, device=device) + 0.5 - height / 2) / half
    x = (torch.arange(width, device=device) + 0.5 - width / 2) / half
    return torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1)


def object_points(grid: Tensor, pose: Tensor) -> Tensor:
    """Return pixels (H,W,2) in the coordinates of objects with pose (...,4): (...,H,W,2)."""
    centre, radius, angle = pose[..., None, None, :2], pose[..., 2], pose[..., 3]
    x, y = ((grid - centre) / radius[..., None, None, None]).unbind(-1)
    cos, sin = angle.cos()[..., None, None], angle.sin()[..., None, None]
    return torch.stack([cos * x + sin * y, cos * y - sin * x], dim=-1)


def render(scene: SceneBatch) -> Rendered:
    """Draw the scenes, later objects in front of earlier ones."""
    size = (scene.canvas.shape[2], scene.canvas.shape[3])
    image = scene.canvas
    labels = torch.zeros(len(image), *size, dtype=torch.int64, device=image.device)
    grid = pixel_grid(size, image.device)
    for index in range(scene.present.shape[1]):
        rows = scene.present[:, index].nonzero().flatten()
        if len(rows):
            drawn, covered = _draw_object(image[rows], grid, scene.rows(rows), index)
            image = image.index_copy(0, rows, drawn)
            front = torch.where(covered, index + 1, labels[rows])
            labels = labels.index_copy(0, rows, front)
    return Rendered(image, labels)


def _draw_object(
    image: Tensor, grid: Tensor, scene: SceneBatch, index: int
) -> tuple[Tensor, Tensor]:
    """Paint object `index` and its shadow on image (B,3,H,W); return it and the mask (B,H,W)."""
    pose, kind = scene.pose[:, index], scene.kind[:, index]
    towards_light = torch.stack([scene.light.cos(), scene.light.sin()], dim=-1)
    radius_px = pose[:, 2, None, None] * (min(image.shape[2:]) / 2)
    points = object_points(grid, pose)
    alpha = (0.5 - signed_distance(kind, points) * radius_px).clamp(0, 1)
    shadow_pose = pose.clone()
    shadow_pose[:, :2] -= 0.18 * pose[:, 2:3] * towards_light
    shadow = torch.sigmoid(-signed_distance(kind, object_points(grid, shadow_pose)) / 0.08)
    shade = (
        1
        + 0.22
        * ((grid - pose[:, None, None, :2]) @ towards_light[:, None, :, None]).squeeze(-1)
        / pose[:, 2, None, None]
    )
    texture = F.grid_sample(
        scene.texture[:, index, None], points, padding_mode="reflection", align_corners=False
    )
    paint = _pattern_paint(scene, index, points) * texture * shade[:, None]
    image = image * (1 - 0.45 * shadow[:, None])
    return torch.lerp(image, paint.clamp(0, 1), alpha[:, None]), alpha > 0.5


def _pattern_paint(scene: SceneBatch, index: int, points: Tensor) -> Tensor:
    """Return the object's own colours (B,3,H,W): plain, striped or dotted, fixed to the object."""
    phase_x, phase_y, angle, period = scene.pattern_pose[:, index].unbind(-1)  # each (B,)
    x, y = points.unbind(-1)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    u = (cos * x + sin * y) / period[:, None, None] + phase_x[:, None, None]
    v = (cos * y - sin * x) / period[:, None, None] + phase_y[:, None, None]
    stripe = torch.sigmoid(12 * torch.sin(2 * torch.pi * u))
    offsets = torch.stack([u - u.round(), v - v.round()], dim=-1)
    dot = torch.sigmoid((0.33 - offsets.norm(dim=-1)) * 25)
    pattern = scene.pattern[:, index, None, None]
    amount = torch.where(pattern == STRIPES, stripe, torch.where(pattern == DOTS, dot, 0.0))
    base, over = scene.colour[:, index], scene.pattern_colour[:, index]
    return torch.lerp(base[:, :, None, None], over[:, :, None, None], amount[:, None])
