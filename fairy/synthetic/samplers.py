"""Draw random scenes, or scenes in which "the circle" is never ambiguous.

Backgrounds are photographs (if given), dead leaves or smooth noise.
B scenes with O objects each. Tests: tests/synthetic/test_samplers.py.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fairy.synthetic.backgrounds import dead_leaves, smooth_noise, tinted
from fairy.synthetic.colours import hsv_colour, random_colours
from fairy.synthetic.names import SHAPE_NAMES
from fairy.synthetic.photos import PhotoPool
from fairy.synthetic.scenes import MAX_OBJECTS, PLAIN, TEXTURE_SIDE, SceneBatch


class SceneSampler:
    """Draws random scenes.

    Args:
        photos: backgrounds for `photo_share` of the scenes; the others are generated.
        photo_share: share of scenes with a photograph as background, in [0,1].
    """

    def __init__(self, photos: PhotoPool | None = None, photo_share: float = 0.7) -> None:
        self.photos = photos
        self.photo_share = photo_share if photos else 0.0

    def sample(
        self, num_objects: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> SceneBatch:
        """Return B scenes of `size` (height, width) with `num_objects` (B,) objects each."""
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
            parts.append(tinted(smooth_noise((made - leaves, 3), size, generator), generator))
        if self.photos and from_photos:
            parts.append(self.photos.crops(from_photos, size, generator))
        return torch.cat(parts)[torch.randperm(batch_size, generator=generator)]


# Smallest and largest radius of an object in a clear scene, in units of half the shorter side.
CLEAR_RADII = (0.3, 0.55)
# The farthest point of any shape, in radii: the corners of a square.
SHAPE_REACH = 1.12
WHITE_SHARE = 0.08


class ClearSceneSampler(SceneSampler):
    """Draws scenes in which "the circle" is never ambiguous.

    They have at most three large objects of distinct kinds and clearly different hues, mostly
    plain and entirely inside the picture. The background is a photograph or smooth noise, without
    discs.
    """

    def sample(
        self, num_objects: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> SceneBatch:
        """Return B scenes of `size` with `num_objects` (B,) objects each, 3 at most."""
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
        parts = [tinted(smooth_noise((made, 3), size, generator), generator)] if made else []
        if self.photos and from_photos:
            parts.append(self.photos.crops(from_photos, size, generator))
        return torch.cat(parts)[torch.randperm(batch_size, generator=generator)]


def _clear_colours(batch: int, generator: torch.Generator) -> Tensor:
    """Return strong colours (B,O,3), some white, with the hues of a scene a quarter turn apart."""
    quarters = torch.stack([torch.randperm(4, generator=generator) for _ in range(batch)]) / 4
    jitter = 0.12 * (torch.rand((batch, MAX_OBJECTS), generator=generator) - 0.5)
    hue = torch.rand((batch, 1), generator=generator) + quarters + jitter
    value = torch.empty((batch, MAX_OBJECTS, 1)).uniform_(0.55, 1.0, generator=generator)
    saturation = torch.empty((batch, MAX_OBJECTS, 1)).uniform_(0.65, 0.95, generator=generator)
    white = torch.rand((batch, MAX_OBJECTS, 1), generator=generator) < WHITE_SHARE
    return torch.where(white, 0.95, hsv_colour(hue[..., None] % 1, saturation, value))


def random_pattern_pose(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return (*shape,4): phases in [0,1), angle in [0,pi), period 0.35-0.6 object radii."""
    low = torch.tensor([0.0, 0.0, 0.0, 0.35])
    span = torch.tensor([1.0, 1.0, torch.pi, 0.25])
    return low + span * torch.rand((*shape, 4), generator=generator)


def random_poses(batch: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return poses (B,O,4), one object in each quarter of the picture so that most are visible."""
    half_height, half_width = size[0] / min(size), size[1] / min(size)
    quarter = torch.stack([torch.randperm(4, generator=generator) for _ in range(batch)])
    signs = torch.stack([quarter % 2 * 2 - 1, quarter // 2 * 2 - 1], dim=-1)
    reach = torch.tensor([half_width, half_height])
    jitter = torch.empty(batch, MAX_OBJECTS, 2).uniform_(-0.25, 0.25, generator=generator)
    centre = (signs * 0.5 + jitter) * reach
    radius = torch.empty(batch, MAX_OBJECTS, 1).uniform_(0.22, 0.5, generator=generator)
    angle = torch.empty(batch, MAX_OBJECTS, 1).uniform_(-0.5, 0.5, generator=generator)
    return torch.cat([centre, radius, angle], dim=-1)
