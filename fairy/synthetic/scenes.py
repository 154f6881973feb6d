"""Rendered scenes: a background and flat textured objects with light and shadow, in batches.

A scene is numbers (`SceneBatch`), drawn by `render`. Edits change the numbers and draw again, so
"remove the triangle" has an exact target. Backgrounds are photographs (when given), dead leaves
(overlapping discs: the occlusion statistics of real pictures) or smooth many-scale noise.
Coordinates: (x, y) in units of half the shorter side, origin in the middle, y down.
O objects in a scene. Motion and optical flow: fairy/synthetic/moving_scenes.py.
Tests: tests/synthetic/test_scenes.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.synthetic.photos import PhotoPool
from fairy.synthetic.shapes import SHAPE_NAMES, signed_distance

COLOURS = {
    "red": (0.85, 0.12, 0.10),
    "green": (0.15, 0.65, 0.20),
    "blue": (0.12, 0.25, 0.85),
    "yellow": (0.95, 0.85, 0.15),
    "purple": (0.55, 0.15, 0.70),
    "white": (0.95, 0.95, 0.95),
}
COLOUR_NAMES = tuple(COLOURS)
PLAIN, STRIPES, DOTS = range(3)
MAX_OBJECTS = 4
TEXTURE_SIDE = 32


@dataclass(frozen=True)
class SceneBatch:
    """B scenes as numbers.

    Attributes:
        canvas: (B,3,H,W) background in [0,1].
        present: (B,O) which objects are there.
        kind: (B,O) index into `SHAPE_NAMES`.
        colour: (B,O,3) in [0,1].
        texture: (B,O,S,S) brightness factor over the object, around 1.
        pattern: (B,O) PLAIN, STRIPES or DOTS.
        pattern_colour: (B,O,3) in [0,1].
        pattern_pose: (B,O,4) phase x, phase y, angle in radians, period in object radii.
        pose: (B,O,4) centre x, centre y, radius, angle in radians.
        light: (B,) direction in radians that light comes from.
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
    """What `render` draws.

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
    """Return the pixels (H,W,2) in the coordinates of objects at pose (...,4): (...,H,W,2)."""
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
    """Paint object `index` and its shadow over image (B,3,H,W); return it and the mask (B,H,W)."""
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


class SceneSampler:
    """Draws random scenes.

    Args:
        photos: backgrounds for `photo_share` of the scenes; the rest, or all without, is made.
        photo_share: share of scenes with a photograph behind, in [0,1].
    """

    def __init__(self, photos: PhotoPool | None = None, photo_share: float = 0.7) -> None:
        self.photos = photos
        self.photo_share = photo_share if photos else 0.0

    def sample(
        self, num_objects: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> SceneBatch:
        """Return one scene for each entry of `num_objects` (B,), of `size` (height, width)."""
        batch = len(num_objects)
        shape = (batch, MAX_OBJECTS)

        def uniform(low: float, high: float, *dims: int) -> Tensor:
            return torch.empty(*dims).uniform_(low, high, generator=generator)

        texture = smooth_noise((batch * MAX_OBJECTS, 1), (TEXTURE_SIDE, TEXTURE_SIDE), generator)
        return SceneBatch(
            canvas=self.backgrounds(batch, size, generator),
            present=torch.arange(MAX_OBJECTS) < num_objects[:, None],
            kind=torch.randint(len(SHAPE_NAMES), shape, generator=generator),
            colour=random_colours(shape, generator),
            texture=1 + 0.5 * (texture.view(*shape, TEXTURE_SIDE, TEXTURE_SIDE) - 0.5),
            pattern=torch.randint(3, shape, generator=generator)
            * (torch.rand(shape, generator=generator) < 0.3),
            pattern_colour=random_colours(shape, generator),
            pattern_pose=random_pattern_pose(shape, generator),
            pose=random_poses(batch, size, generator),
            light=uniform(-torch.pi, 0, batch),
        )

    def backgrounds(
        self, batch_size: int, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """Return backgrounds (B,3,H,W) in [0,1]: photographs first, then dead leaves and noise."""
        from_photos = int((torch.rand(batch_size, generator=generator) < self.photo_share).sum())
        made = batch_size - from_photos
        leaves = made - made // 3
        parts = [dead_leaves(leaves, size, generator)] if leaves else []
        if made - leaves:
            parts.append(_tint(smooth_noise((made - leaves, 3), size, generator), generator))
        if self.photos and from_photos:
            parts.append(self.photos.crops(from_photos, size, generator))
        return torch.cat(parts)[torch.randperm(batch_size, generator=generator)]


# Smallest and largest radius of an object in a clear scene, in half the shorter side.
CLEAR_RADII = (0.3, 0.55)
# No shape reaches further than this many radii: the corners of a square.
SHAPE_REACH = 1.12
WHITE_SHARE = 0.08


class ClearSceneSampler(SceneSampler):
    """Draws scenes in which "the circle" is never ambiguous.

    At most three large objects of distinct kinds and clearly different hues, whole in the picture,
    mostly plain, on a photograph or smooth noise: no discs in the background.
    """

    def sample(
        self, num_objects: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> SceneBatch:
        """Return one scene for each entry of `num_objects` (B,), 3 at most, of `size`."""
        scene = super().sample(num_objects.clamp(max=3), size, generator)
        batch = len(num_objects)
        kinds = [torch.randperm(len(SHAPE_NAMES), generator=generator) for _ in range(batch)]
        radius = torch.empty(batch, MAX_OBJECTS, 1).uniform_(*CLEAR_RADII, generator=generator)
        half = torch.tensor([size[1], size[0]]) / min(size)
        reach = half - SHAPE_REACH * radius
        centre = torch.maximum(torch.minimum(scene.pose[..., :2], reach), -reach)
        plain = torch.rand((batch, MAX_OBJECTS), generator=generator) > 0.4
        return replace(
            scene,
            kind=torch.stack([order[:MAX_OBJECTS] for order in kinds]),
            colour=_clear_colours(batch, generator),
            texture=1 + 0.5 * (scene.texture - 1),
            pattern=scene.pattern.masked_fill(plain, PLAIN),
            pose=torch.cat([centre, radius, scene.pose[..., 3:]], dim=-1),
        )

    def backgrounds(
        self, batch_size: int, size: tuple[int, int], generator: torch.Generator
    ) -> Tensor:
        """Return backgrounds (B,3,H,W) in [0,1]: photographs and smooth noise."""
        from_photos = int((torch.rand(batch_size, generator=generator) < self.photo_share).sum())
        made = batch_size - from_photos
        parts = [_tint(smooth_noise((made, 3), size, generator), generator)] if made else []
        if self.photos and from_photos:
            parts.append(self.photos.crops(from_photos, size, generator))
        return torch.cat(parts)[torch.randperm(batch_size, generator=generator)]


def _clear_colours(batch: int, generator: torch.Generator) -> Tensor:
    """Return strong colours (B,O,3), the hues of a scene about a quarter turn apart; some white."""
    quarters = torch.stack([torch.randperm(4, generator=generator) for _ in range(batch)]) / 4
    jitter = 0.12 * (torch.rand((batch, MAX_OBJECTS), generator=generator) - 0.5)
    hue = torch.rand((batch, 1), generator=generator) + quarters + jitter
    value = torch.empty((batch, MAX_OBJECTS, 1)).uniform_(0.55, 1.0, generator=generator)
    saturation = torch.empty((batch, MAX_OBJECTS, 1)).uniform_(0.65, 0.95, generator=generator)
    white = torch.rand((batch, MAX_OBJECTS, 1), generator=generator) < WHITE_SHARE
    return torch.where(white, 0.95, hsv_colour(hue[..., None] % 1, saturation, value))


def hsv_colour(hue: Tensor, saturation: Tensor | float, value: Tensor | float) -> Tensor:
    """Return colours (...,3) in [0,1] of hue (...,1) in [0,1), saturation and value."""
    # Each channel is a hat over the hue circle, a third apart (the HSV cone).
    distance = ((hue * 6 + torch.tensor([0.0, 4.0, 2.0])) % 6 - 3).abs() - 1
    return value * (1 - saturation * (1 - distance.clamp(0, 1)))


def random_colours(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return saturated colours (*shape,3) in [0,1], hue uniform."""
    hue = torch.rand((*shape, 1), generator=generator)
    value = torch.empty((*shape, 1)).uniform_(0.45, 1.0, generator=generator)
    saturation = torch.empty((*shape, 1)).uniform_(0.35, 0.95, generator=generator)
    return hsv_colour(hue, saturation, value)


def random_pattern_pose(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return (*shape,4): phases in [0,1), angle in [0,pi), period 0.35-0.6 object radii."""
    low = torch.tensor([0.0, 0.0, 0.0, 0.35])
    span = torch.tensor([1.0, 1.0, torch.pi, 0.25])
    return low + span * torch.rand((*shape, 4), generator=generator)


def random_poses(batch: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return poses (B,O,4), one object in each quarter of the picture so that most are seen."""
    half_height, half_width = size[0] / min(size), size[1] / min(size)
    quarter = torch.stack([torch.randperm(4, generator=generator) for _ in range(batch)])
    signs = torch.stack([quarter % 2 * 2 - 1, quarter // 2 * 2 - 1], dim=-1)
    reach = torch.tensor([half_width, half_height])
    jitter = torch.empty(batch, MAX_OBJECTS, 2).uniform_(-0.25, 0.25, generator=generator)
    centre = (signs * 0.5 + jitter) * reach
    radius = torch.empty(batch, MAX_OBJECTS, 1).uniform_(0.22, 0.5, generator=generator)
    angle = torch.empty(batch, MAX_OBJECTS, 1).uniform_(-0.5, 0.5, generator=generator)
    return torch.cat([centre, radius, angle], dim=-1)


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
    image = _tint(smooth_noise((batch_size, 3), size, generator), generator)
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


def _tint(noise: Tensor, generator: torch.Generator) -> Tensor:
    """Bring the channels of noise (B,3,H,W) together and lay a brightness gradient over it."""
    grey = torch.lerp(noise.mean(1, keepdim=True), noise, 0.5)
    colour = 0.6 + 0.8 * torch.rand(len(noise), 3, 1, 1, generator=generator)
    slope = torch.linspace(0.7, 1.2, noise.shape[2])[:, None].flip(0)
    return (grey * colour * slope).clamp(0, 1)


def named_colour(name: str) -> Tensor:
    """Return the colour (3,) that an instruction calls by this name."""
    return torch.tensor(COLOURS[name])
