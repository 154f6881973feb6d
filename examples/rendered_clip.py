"""A rendered clip for the demo and the examples: objects drift and turn, the camera pans.

Shapes: uint8 (T,H,W,3). Drawn by the scenes that `mini` was trained on, from a seed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from fairy.training.scenes import SceneBatch, SceneSampler, render


def rendered_clip(
    num_frames: int, height: int, width: int, seed: int = 0, num_objects: int = 3
) -> NDArray[np.uint8]:
    """Return a clip uint8 (T,H,W,3); the same seed gives the same clip."""
    generator = torch.Generator().manual_seed(seed)
    # Wider than the picture, so that the camera can pan over it.
    wide = (height, width + width // 4)
    scene = SceneSampler().sample(torch.tensor([num_objects]), wide, generator)
    images = [render(moved(scene, time)).image[0] for time in torch.linspace(0, 1, num_frames)]
    views = [
        image[:, :, left : left + width]
        for image, left in zip(images, camera(num_frames, width // 4), strict=True)
    ]
    levels = (torch.stack(views).clamp(0, 1) * 255).round().byte()
    return levels.permute(0, 2, 3, 1).contiguous().numpy()


def camera(num_frames: int, travel_px: int) -> list[int]:
    """Return the left edge of the view in each frame: out and back, slow at the ends."""
    swing = (1 - torch.cos(torch.linspace(0, 2 * torch.pi, num_frames))) / 2
    return [round(float(part) * travel_px) for part in swing]


def moved(scene: SceneBatch, time: torch.Tensor) -> SceneBatch:
    """Return the scene at `time` in [0,1]: every object on its own small circle, turning."""
    pose = scene.pose.clone()
    phase = 2 * torch.pi * (time + torch.arange(pose.shape[1]) / pose.shape[1])
    pose[..., 0] += 0.15 * phase.cos()
    pose[..., 1] += 0.15 * phase.sin()
    pose[..., 3] += 0.4 * phase.sin()
    return replace(scene, pose=pose)
