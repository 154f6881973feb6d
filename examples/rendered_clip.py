"""A rendered clip for the demo and the examples: objects that drift and turn, a camera that moves.

Shapes: uint8 (T,H,W,3). Drawn by the scenes that `mini` was trained on, from a seed.
"""

from __future__ import annotations

import torch

from fairy.media.colours import Image
from fairy.media.frames import to_images
from fairy.synthetic.moving_scenes import sample_clip
from fairy.synthetic.samplers import SceneSampler


def rendered_clip(num_frames: int, height: int, width: int, seed: int = 0) -> Image:
    """Return a clip uint8 (T,H,W,3); the same seed gives the same clip."""
    generator = torch.Generator().manual_seed(seed)
    clip = sample_clip(SceneSampler(), num_frames, (height, width), generator)
    return to_images(clip.frames * 2 - 1)
