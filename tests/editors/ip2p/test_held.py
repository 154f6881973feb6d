"""Latents that are held: outside masks by the source, of anchors by the picture a person made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)

from fairy.editors.base import Anchor, EditInput
from fairy.editors.ip2p.held import Held, near_source
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.ip2p.session import CallOptions
from fairy.settings import EditConfig
from tests.tiny import make_frames

FRAMES = make_frames(5, height=12, width=16)
SIZE = (12, 16)
SETTINGS = EditConfig(num_inference_steps=3, seed=3, frame_batch_size=2)
LEFT = torch.zeros(SIZE)
LEFT[:, :7] = 1
# The cells of latents, of 2x2 pixels, that LEFT touches
LEFT_CELLS = 4


@pytest.fixture
def pipe(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


def edit(
    pipe: FairyPipeline,
    *,
    mask: torch.Tensor | None = None,
    edited: dict[int, np.ndarray] | None = None,
    decode: bool = True,
    settings: EditConfig = SETTINGS,
    batch: int = 5,
) -> torch.Tensor:
    anchors = [Anchor(i, FRAMES[i], (edited or {}).get(i), mask) for i in (1, 3)]
    inputs = [EditInput(i, frame, mask) for i, frame in enumerate(FRAMES)]
    options = CallOptions(decode=decode)
    with pipe.begin("red", anchors, settings, size=SIZE, options=options) as session:
        parts = [session.edit_tensors(inputs[i : i + batch]) for i in range(0, 5, batch)]
        return torch.cat(parts)


def source_latents(pipe: FairyPipeline) -> torch.Tensor:
    images = torch.from_numpy(FRAMES).permute(0, 3, 1, 2) / 127.5 - 1
    return pipe.encode(images) * pipe.vae.config.scaling_factor


def test_a_white_mask_is_no_mask(pipe):
    assert torch.equal(edit(pipe, mask=torch.ones(SIZE)), edit(pipe))


def test_outside_a_mask_latents_are_the_sources(pipe):
    latents = edit(pipe, mask=LEFT, decode=False)
    outside = latents[..., LEFT_CELLS:], source_latents(pipe)[..., LEFT_CELLS:]
    assert torch.allclose(*outside, atol=1e-6)
    inside = latents[..., :LEFT_CELLS], source_latents(pipe)[..., :LEFT_CELLS]
    assert ((inside[0] - inside[1]).abs().flatten(1).max(dim=1).values > 0.1).all()


def test_a_cell_is_free_as_soon_as_a_mask_touches_it(pipe):
    dot = torch.zeros(SIZE)
    dot[5, 9] = 0.1
    moved = (edit(pipe, mask=dot, decode=False) - source_latents(pipe)).abs() > 1e-3
    assert moved.any(dim=(0, 1)).nonzero().tolist() == [[2, 4]]


def test_the_mask_is_seen_by_the_model_while_it_works(pipe):
    """What is left free differs from an unmasked edit: its surroundings were the source's."""
    inside = (..., slice(0, LEFT_CELLS))
    alone = edit(pipe, mask=LEFT, decode=False)[inside]
    assert (alone - edit(pipe, decode=False)[inside]).abs().max() > 1e-3


def test_mask_strength_0_edits_as_without_a_mask(pipe):
    settings = replace(SETTINGS, mask="m.png", mask_strength=0.0)
    assert torch.equal(edit(pipe, mask=LEFT, settings=settings), edit(pipe))


def test_masks_do_not_depend_on_the_batch(pipe):
    masks = [LEFT, None, 1 - LEFT, LEFT, torch.zeros(SIZE)]
    anchors = [Anchor(1, FRAMES[1], mask=LEFT)]
    inputs = [EditInput(i, FRAMES[i], mask) for i, mask in enumerate(masks)]
    with pipe.begin("red", anchors, SETTINGS, size=SIZE) as session:
        together = session.edit(inputs)
        alone = np.concatenate([session.edit([one]) for one in inputs])
    assert np.array_equal(together, alone)


def test_a_persons_anchor_comes_out_as_it_is(pipe):
    by_hand = make_frames(1, height=12, width=16, seed=9)[0]
    expected = torch.from_numpy(by_hand).permute(2, 0, 1) / 127.5 - 1
    assert torch.equal(edit(pipe, edited={3: by_hand})[3], expected)


def test_frames_and_other_anchors_take_from_a_persons_anchor(pipe):
    hands = make_frames(2, height=12, width=16, seed=9)
    one, other = (edit(pipe, edited={3: by_hand}, decode=False) for by_hand in hands)
    for index in (0, 1, 2, 4):
        # Little, as weights are random; without the anchor it would be nothing
        assert (one[index] - other[index]).abs().max() > 1e-5


def test_the_models_own_result_as_a_persons_anchor_is_nearly_the_same_edit(pipe):
    """Its keys and values are recorded of the picture, noised, instead of on the way to it."""
    own = edit(pipe)
    back = ((own[3].permute(1, 2, 0) + 1) * 127.5).round().to(torch.uint8).numpy()
    near = edit(pipe, edited={3: back})
    far = edit(pipe, edited={3: 255 - back})
    frames = [0, 1, 2, 4]
    assert (near[frames] - own[frames]).abs().mean() < (far[frames] - own[frames]).abs().mean()


def test_a_persons_anchor_is_held_in_every_step():
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(4)
    target, noise = torch.full((1, 1, 2, 2), 3.0), torch.randn(1, 1, 2, 2)
    held = Held(target, torch.zeros(1, 1, 2, 2))
    for index, time in enumerate(scheduler.timesteps):
        expected = scheduler.add_noise(target, noise, time[None])
        assert torch.equal(held.at(torch.zeros_like(target), index, scheduler, noise), expected)
    assert torch.equal(held.at(torch.zeros_like(target), 4, scheduler, noise), target)


SCHEDULERS = [
    DDIMScheduler(clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing"),
    DDPMScheduler(clip_sample=False, prediction_type="sample", timestep_spacing="trailing"),
    DDPMScheduler(clip_sample=False, prediction_type="v_prediction"),
    EulerDiscreteScheduler(timestep_spacing="trailing"),
    EulerDiscreteScheduler(prediction_type="v_prediction"),
    EulerAncestralDiscreteScheduler(timestep_spacing="trailing"),
    DPMSolverMultistepScheduler(),
]


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=lambda one: type(one).__name__)
def test_strength_0_leads_every_scheduler_to_the_source(pipe, scheduler):
    pipe.scheduler = scheduler
    settings = replace(SETTINGS, strength=0.0)
    latents = edit(pipe, decode=False, settings=settings)
    assert torch.allclose(latents, source_latents(pipe), atol=0.02)


def test_strength_1_is_the_plain_edit_and_less_is_nearer_to_the_source(pipe):
    source = source_latents(pipe)
    edits = [edit(pipe, decode=False, settings=replace(SETTINGS, strength=s)) for s in (0.3, 0.7)]
    edits.append(edit(pipe, decode=False))
    distances = [float((latents - source).abs().mean()) for latents in edits]
    assert distances == sorted(distances) and distances[0] < 0.7 * distances[2]


def test_a_prediction_is_moved_by_its_clean_latents():
    """By hand, for a scheduler that predicts noise: clean = (latents - b * noise) / a."""
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(4)
    time = scheduler.timesteps[1]
    a, b = scheduler.alphas_cumprod[time].sqrt(), (1 - scheduler.alphas_cumprod[time]).sqrt()
    latents, noise, source = torch.randn(3, 1, 4, 2, 2)
    moved = near_source(noise, source, latents, time, scheduler, 0.25)
    clean = (latents - b * moved) / a
    expected = 0.25 * (latents - b * noise) / a + 0.75 * source
    assert torch.allclose(clean, expected, atol=1e-4)
