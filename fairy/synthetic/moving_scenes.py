"""Scenes in motion, with the optical flow and the occlusion known exactly.

A clip is one scene with smoothly moving camera and objects. Every pixel belongs to one rigid layer
(an object or the background), so its position in the next frame follows from the layers' poses. It
is visible there if the next frame shows the same layer around that point.
Shapes: T frames (T,3,H,W) in [0,1], flow (T-1,2,H,W) in px as (x, y), visible (T-1,H,W).
Tests: tests/synthetic/test_moving_scenes.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.synthetic.samplers import SceneSampler
from fairy.synthetic.scenes import SceneBatch, object_points, pixel_grid, render

# The background is this much larger than the frame, so the camera can move.
MARGIN = 1.5


@dataclass(frozen=True)
class Clip:
    """A rendered clip.

    Attributes:
        scene: T scenes, one per frame.
        frames: (T,3,H,W) in [0,1].
        labels: (T,H,W) int64, the layer in front: 0 background, o + 1 object o.
        flow: (T-1,2,H,W), position of pixel (x, y) of frame t in frame t + 1, minus (x, y), in px.
        visible: (T-1,H,W) bool, whether it is visible there.
    """

    scene: SceneBatch
    frames: Tensor
    labels: Tensor
    flow: Tensor
    visible: Tensor


def sample_clip(
    sampler: SceneSampler,
    num_frames: int,
    size: tuple[int, int],
    generator: torch.Generator,
    *,
    num_objects: int = 3,
) -> Clip:
    """Draw a clip of one scene in motion.

    Args:
        sampler: draws the scene.
        num_frames: T.
        size: (height, width) in pixels.
        generator: all randomness comes from it.
        num_objects: moving objects, 0 to 4.
    """
    large = (round(size[0] * MARGIN), round(size[1] * MARGIN))
    scene = sampler.sample(torch.tensor([num_objects]), large, generator)
    camera = _camera_poses(num_frames, generator)
    moving = replace(
        scene.rows(torch.zeros(num_frames, dtype=torch.int64)),
        canvas=_seen_by(camera, scene.canvas, size),
        # Poses were drawn for the large canvas; scale them to the frame.
        pose=_seen_pose(camera, _object_poses(scene.pose[0], num_frames, generator)),
    )
    drawn = render(moving)
    flow = _flow(camera, moving.pose, drawn.labels)
    return Clip(moving, drawn.image, drawn.labels, flow, _visible(drawn.labels, flow))


def _camera_poses(num_frames: int, generator: torch.Generator) -> Tensor:
    """Return camera poses (T,4): x, y, zoom, angle, on an arc that stays on the large canvas."""
    time = torch.linspace(-1, 1, num_frames)
    uniform = torch.rand(5, generator=generator)
    heading = 2 * math.pi * uniform[0]
    reach = 0.12 + 0.14 * uniform[1]
    x = reach * heading.cos() * time - 0.06 * heading.sin() * (math.pi * time).sin()
    y = reach * heading.sin() * time + 0.06 * heading.cos() * (math.pi * time).sin()
    zoom = 1 + (0.1 * uniform[2] - 0.05) * time
    angle = (0.16 * uniform[3] - 0.08) * time
    return torch.stack([x, y, zoom, angle], dim=-1)


def _object_poses(pose: Tensor, num_frames: int, generator: torch.Generator) -> Tensor:
    """Return poses (T,O,4) of objects (O,4) that drift and turn, in canvas coordinates."""
    time = torch.linspace(-1, 1, num_frames)[:, None]
    uniform = torch.rand(len(pose), 4, generator=generator)
    heading = 2 * math.pi * uniform[:, 0]
    reach = 0.1 + 0.25 * uniform[:, 1]
    drift = reach[:, None] * torch.stack([heading.cos(), heading.sin()], dim=-1)
    swing = (time + 0.3 * torch.sin(math.pi * (time + uniform[:, 2])))[..., None]
    turn = (0.8 * uniform[:, 3] - 0.4) * time
    moved = pose.expand(num_frames, -1, -1).clone()
    moved[..., :2] += swing * drift
    moved[..., 3] += turn
    return moved


def _seen_pose(camera: Tensor, pose: Tensor) -> Tensor:
    """Return object poses (T,O,4) as the camera (T,4) sees them: the inverse of its own pose."""
    zoom, angle = camera[:, 2:3], camera[:, 3:4]
    x, y = (pose[..., :2] - camera[:, None, :2]).unbind(-1)
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    centre = torch.stack([cos * x + sin * y, cos * y - sin * x], dim=-1)
    return torch.cat(
        [centre, (pose[..., 2] / zoom)[..., None], (pose[..., 3] - angle)[..., None]], -1
    )


def _seen_by(camera: Tensor, canvas: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the camera's (T,4) views of canvas (1,3,h,w), (T,3,H,W); unscaled at zoom 1."""
    grid = pixel_grid(size)
    points = _camera_to_canvas(camera, grid)
    half = min(size) / 2
    to_unit = 2 * half / torch.tensor([canvas.shape[3], canvas.shape[2]])
    frames = canvas.expand(len(camera), -1, -1, -1)
    return F.grid_sample(frames, points * to_unit, padding_mode="border", align_corners=False)


def _camera_to_canvas(camera: Tensor, points: Tensor) -> Tensor:
    """Map frame points (...,H,W,2) to canvas points (T,H,W,2)."""
    zoom, angle = camera[:, 2, None, None], camera[:, 3, None, None]
    x, y = (points * zoom[..., None]).unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)
    return turned + camera[:, None, None, :2]


def _flow(camera: Tensor, pose: Tensor, labels: Tensor) -> Tensor:
    """Return the flow (T-1,2,H,W) in px from the layers' poses in both frames."""
    height, width = labels.shape[1:]
    grid = pixel_grid((height, width))
    # A pose maps a layer to the frame; the camera's pose is the inverse of the background's.
    background = _seen_pose(camera, torch.tensor([0.0, 0.0, 1.0, 0.0]).expand(len(camera), 1, 4))
    layers = torch.cat([background, pose], dim=1)
    target = torch.zeros(len(labels) - 1, height, width, 2)
    for layer in range(layers.shape[1]):
        points = object_points(grid, layers[:-1, layer])
        moved = _to_frame(layers[1:, layer], points)
        target = torch.where((labels[:-1] == layer)[..., None], moved, target)
    return ((target - grid) * (min(height, width) / 2)).permute(0, 3, 1, 2)


def _to_frame(pose: Tensor, points: Tensor) -> Tensor:
    """Map a layer's own points (T,H,W,2) to the frame: the inverse of `object_points`."""
    angle, radius = pose[:, 3, None, None], pose[:, 2, None, None]
    x, y = points.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)
    return turned * radius[..., None] + pose[:, None, None, :2]


def _visible(labels: Tensor, flow: Tensor) -> Tensor:
    """Return where the four pixels around the target show the same layer, all inside the frame."""
    height, width = labels.shape[1:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = columns + flow[:, 0], rows + flow[:, 1]
    visible = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    frame = torch.arange(len(flow))[:, None, None]
    for dy in (0, 1):
        for dx in (0, 1):
            row = (y.floor().long() + dy).clamp(0, height - 1)
            column = (x.floor().long() + dx).clamp(0, width - 1)
            visible &= labels[1:][frame, row, column] == labels[:-1]
    return visible
