"""fairy/evaluation/methods.py, on the tiny pipeline with random weights."""

from __future__ import annotations

import pytest
import torch

from fairy import FairyPipeline
from fairy.evaluation.methods import (
    edit_alone,
    first_frame_attention,
    frame_by_frame,
    sampling,
    with_anchors,
)
from fairy.models.defaults import KnownEdit, ModelDefaults
from tests.tiny import make_frames

ROUNDING = 1e-4


@pytest.fixture
def pipe(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


@pytest.fixture
def still() -> torch.Tensor:
    """One picture shown four times."""
    picture = torch.from_numpy(make_frames(1)).permute(0, 3, 1, 2) / 255
    return picture.repeat(4, 1, 1, 1)


def spread(frames: torch.Tensor) -> float:
    """How much the frames of a clip differ."""
    return float((frames - frames[:1]).abs().max())


def test_own_noise_makes_a_still_clip_flicker(pipe, still):
    assert spread(frame_by_frame(pipe, own_noise=True).edit(still, "snow", 1)) > 0.01


def test_shared_noise_keeps_a_still_clip_still(pipe, still):
    assert spread(frame_by_frame(pipe, own_noise=False).edit(still, "snow", 1)) < ROUNDING


def test_own_noise_of_the_first_frame_is_the_shared_one(pipe, still):
    own, shared = (frame_by_frame(pipe, own_noise=own).edit(still, "snow", 1) for own in (1, 0))
    assert (own[0] - shared[0]).abs().max() < ROUNDING


def test_anchors_of_a_still_clip_start_from_the_noise_that_frames_alone_have(pipe, still):
    # With one picture throughout, attention to anchors adds nothing new
    alone = frame_by_frame(pipe, own_noise=False).edit(still, "snow", 1)
    for method in (with_anchors(pipe, 2), first_frame_attention(pipe)):
        assert (method.edit(still, "snow", 1) - alone).abs().max() < 1e-2, method.name


def test_clips_of_neighbouring_seeds_share_no_noise(pipe, still):
    method = frame_by_frame(pipe, own_noise=True)
    first, second = method.edit(still, "snow", 1), method.edit(still, "snow", 2)
    apart = (first[:, None] - second[None]).abs().amax((2, 3, 4))
    assert apart.min() > 0.01


def test_anchors_are_named_and_counted(pipe):
    assert with_anchors(pipe, 3).name == "3 anchors"
    assert with_anchors(pipe, 3).anchor_indices(12) == (2, 6, 10)
    assert first_frame_attention(pipe).anchor_indices(12) == (0,)
    assert frame_by_frame(pipe, own_noise=True).anchor_indices(12) == ()


def test_each_instruction_gets_the_steps_that_the_model_lists(pipe, still):
    edits = (
        KnownEdit(name="night", instruction="make it night", steps=1),
        KnownEdit(name="neon", instruction="draw neon lines", steps=3),
    )
    pipe.defaults = ModelDefaults(num_inference_steps=2, guidance_scale=1.0, edits=edits)
    texts, seeds = ["make it night", "draw neon lines", "make it night"], [0, 1, 2]
    mixed = edit_alone(pipe, still[:3], texts, seeds)
    for row, steps in enumerate((1, 3, 1)):
        alone = edit_alone(
            pipe, still[:1], texts[row : row + 1], seeds[row : row + 1], num_inference_steps=steps
        )
        assert (mixed[row] - alone[0]).abs().max() < ROUNDING


def test_given_settings_replace_the_model_s(pipe):
    pipe.defaults = ModelDefaults(num_inference_steps=2, guidance_scale=1.5)
    chosen = sampling(pipe, "snow", num_inference_steps=7)
    assert chosen["num_inference_steps"] == 7 and chosen["guidance_scale"] == 1.5
