"""Clips with known answers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fairy.synthetic.backgrounds import smooth_noise
from fairy.synthetic.moving_scenes import Clip, sample_clip
from fairy.synthetic.samplers import SceneSampler


@pytest.fixture(scope="session")
def rendered() -> Clip:
    """Give a rendered clip of 10 frames, 64 x 80, with exact flow."""
    return sample_clip(SceneSampler(), 10, (64, 80), torch.Generator().manual_seed(4))


@pytest.fixture(scope="session")
def picture() -> Tensor:
    """Give a textured picture (1,3,48,64) in [0,1]."""
    return smooth_noise((1, 3), (48, 64), torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def still(picture: Tensor) -> Tensor:
    """Give a clip (12,3,48,64) in which nothing moves."""
    return picture.expand(12, -1, -1, -1)
