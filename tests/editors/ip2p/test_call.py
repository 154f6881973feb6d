"""The diffusers-style call: what its users expect works; what cannot work is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from diffusers.callbacks import SDCFGCutoffCallback

from fairy.editors.images import to_tensor
from fairy.editors.ip2p.pipeline import FairyPipeline, FairyPipelineOutput
from tests.tiny import make_frames

FRAMES = make_frames(4, height=12, width=16)
SETTINGS = {"num_inference_steps": 2, "generator": 0, "num_anchors": 1}


@pytest.fixture
def pipe(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


def edit(pipe: FairyPipeline, frames=FRAMES, **settings):
    return pipe(frames, "make it red", **SETTINGS | settings).frames


def test_return_dict(pipe):
    (frames,) = pipe(FRAMES, "make it red", return_dict=False, **SETTINGS)
    output = pipe(FRAMES, "make it red", **SETTINGS)
    assert isinstance(output, FairyPipelineOutput)
    assert np.array_equal(output.frames, frames)
    assert output.used.anchor_indices == (2,)


def test_no_negative_prompt_is_an_empty_one(pipe):
    assert np.array_equal(edit(pipe, negative_prompt=None), edit(pipe, negative_prompt=""))


def test_negative_prompt_counts(pipe):
    assert not np.array_equal(edit(pipe, negative_prompt="blue"), edit(pipe))


def test_callback_is_called_after_each_step_of_the_anchors_and_of_each_batch(pipe):
    calls = []

    def see(pipeline, step, timestep, tensors):
        calls.append((pipeline, step, int(timestep), tensors["latents"].shape[0]))
        return tensors

    edit(pipe, callback_on_step_end=see, frame_batch_size=4)
    assert calls == [(pipe, step, (999, 499)[step], rows) for rows in (1, 3) for step in (0, 1)]


def test_callback_changes_latents_as_in_diffusers(tiny_pipeline):
    theirs = tiny_pipeline.to(torch.float64)
    theirs.set_progress_bar_config(disable=True)

    def change(pipeline, step, timestep, tensors):
        return {"latents": tensors["latents"] * 0.9 + step}

    def names(pipeline, step, timestep, tensors):
        assert list(tensors) == ["prompt_embeds", "image_latents"]
        return {
            "prompt_embeds": tensors["prompt_embeds"] * 0.5,
            "image_latents": tensors["image_latents"] + 1,
        }

    for callback, inputs in ((change, ["latents"]), (names, ["prompt_embeds", "image_latents"])):
        shared = {
            "callback_on_step_end": callback,
            "callback_on_step_end_tensor_inputs": inputs,
            "num_inference_steps": 2,
            "guidance_scale": 7.5,
            "image_guidance_scale": 1.5,
            "output_type": "latent",
        }
        image = to_tensor(FRAMES[0])[None] / 2 + 0.5
        generator = torch.Generator().manual_seed(3)
        expected = StableDiffusionInstructPix2PixPipeline.__call__(
            theirs, "make it red", image=image, generator=generator, **shared
        ).images
        out = FairyPipeline.from_pipe(theirs)(FRAMES[:1], "make it red", generator=3, **shared)
        assert torch.allclose(out.frames, expected, rtol=1e-6, atol=1e-6)


def test_callback_that_returns_nothing_changes_nothing(pipe):
    out = edit(pipe, callback_on_step_end=lambda *args: None)
    assert np.array_equal(out, edit(pipe))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_images_per_prompt": 2}, "every frame has one result"),
        ({"latents": torch.zeros(1)}, "choose it by `generator`"),
        ({"prompt_embeds": torch.zeros(1)}, "pass it as `prompt`"),
        ({"image": FRAMES[0]}, "pass the clip as `frames`"),
        ({"callback": print}, "use callback_on_step_end"),
        ({"generator": [torch.Generator()]}, "all frames share one noise"),
        ({"negative_prompt": ["blue"]}, "negative_prompt is a list"),
        ({"callback_on_step_end": SDCFGCutoffCallback()}, "guidance_interval"),
        (
            {"callback_on_step_end": print, "callback_on_step_end_tensor_inputs": ["noise"]},
            "has 'noise': use latents, prompt_embeds, image_latents",
        ),
    ],
)
def test_what_makes_no_sense_for_a_clip_is_refused_with_the_reason(pipe, settings, message):
    with pytest.raises(ValueError, match=message):
        edit(pipe, **settings)


def test_several_instructions_are_refused(pipe):
    with pytest.raises(ValueError, match="prompt is a list"):
        pipe(FRAMES, ["make it red", "make it blue"])


def test_a_typo_is_not_swallowed(pipe):
    with pytest.raises(TypeError, match="'num_inference_step'"):
        edit(pipe, num_inference_step=2)


def test_defaults_of_diffusers_mean_nothing(pipe):
    assert np.array_equal(edit(pipe, num_images_per_prompt=1, latents=None), edit(pipe))
