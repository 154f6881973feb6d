"""fairy/synthetic/moving_scenes.py: the flow is where things really go."""

from __future__ import annotations

import pytest
import torch

from fairy.metrics.temporal import warp_error
from fairy.synthetic.moving_scenes import Clip, sample_clip
from fairy.synthetic.samplers import SceneSampler


@pytest.fixture(scope="module")
def clip() -> Clip:
    generator = torch.Generator().manual_seed(4)
    return sample_clip(SceneSampler(), 6, (48, 64), generator)


def test_shapes(clip: Clip) -> None:
    assert clip.frames.shape == (6, 3, 48, 64)
    assert clip.flow.shape == (5, 2, 48, 64)
    assert clip.visible.shape == (5, 48, 64)


def test_something_moves(clip: Clip) -> None:
    assert clip.flow.abs().amax() > 1


def test_flow_explains_most_of_the_change(clip: Clip) -> None:
    still = torch.zeros_like(clip.flow)
    moved = warp_error(clip.frames, clip.flow, clip.visible)
    assert moved < 0.2 * warp_error(clip.frames, still, clip.visible)


def test_each_layer_follows_its_flow(clip: Clip) -> None:
    still = torch.zeros_like(clip.flow)
    for layer in clip.labels.unique().tolist():
        mask = clip.visible & (clip.labels[:-1] == layer)
        if mask.sum() > 200:
            moved = warp_error(clip.frames, clip.flow, mask)
            assert moved < 0.5 * warp_error(clip.frames, still, mask) + 1e-4


def test_occluded_points_are_not_visible(clip: Clip) -> None:
    hidden_share = 1 - clip.visible.float().mean()
    assert 0 < hidden_share < 0.5


def test_same_seed_same_clip(clip: Clip) -> None:
    again = sample_clip(SceneSampler(), 6, (48, 64), torch.Generator().manual_seed(4))
    assert torch.equal(clip.frames, again.frames)
