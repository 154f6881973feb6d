"""The diffusers-style call: what its users expect works; what cannot work is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionInstructPix2PixPipeline
from diffusers.callbacks import SDCFGCutoffCallback
from PIL import Image

from fairy.editors.images import to_tensor
from fairy.editors.ip2p.pipeline import FairyPipeline, FairyPipelineOutput
from fairy.errors import FairyError
from fairy.media.enlarge import enlarge
from tests.tiny import assert_same_frames, make_frames, save_tiny_pipeline

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
        ({"latents": torch.zeros(2, 4, 6, 8)}, r"start from the same noise; pass \(1, 4, 6, 8\)"),
        ({"prompt_embeds": torch.zeros(1, 32, 16)}, "prompt and prompt_embeds: pass one"),
        ({"output_type": "mp4"}, "output_type 'mp4': use np, pt, pil, latent"),
        ({"shortcuts": "fast"}, r"pass fairy.Shortcuts.of\('fast'\)"),
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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0: it must be at least 1"),
        ({"num_anchors": 0}, "num_anchors is 0: it must be at least 1"),
        ({"anchor_indices": [9]}, "9"),
        ({"generator": "seven"}, "generator is 'seven': give a whole number"),
        ({"height": 0}, "height is 0: it must be at least 1"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan: use 0 or more"),
    ],
)
def test_settings_are_refused_by_the_name_of_their_argument(pipe, settings, message):
    with pytest.raises(FairyError, match=message) as error:
        edit(pipe, **settings)
    assert "\n" not in str(error.value)
    assert "--" not in str(error.value)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ("clip.mp4", "frames is the path 'clip.mp4': read it with fairy.read_video"),
        (Path("clip.mp4"), "fairy.edit_video"),
        (None, r"frames is None: pass uint8 \(T,H,W,3\)"),
        ([], "frames is empty: pass at least one"),
        (torch.zeros(4, 12, 16, 3), r"pass frames.permute\(0, 3, 1, 2\)"),
        (torch.full((4, 3, 12, 16), torch.nan), "frame 0 has values that are not finite"),
        (FRAMES.astype(np.float32), "floats are in .0,1.; use frames / 255"),
        (FRAMES[0], r"frames has shape \(12, 16, 3\)"),
        ([FRAMES[0], make_frames(1)[0]], "frame 1 is 32x24, frame 0 16x12"),
    ],
)
def test_frames_that_are_no_clip_are_refused_in_one_line(pipe, frames, message):
    with pytest.raises(ValueError, match=message) as error:
        edit(pipe, frames)
    assert "\n" not in str(error.value)


def test_a_call_without_an_instruction_says_so(pipe):
    with pytest.raises(ValueError, match="prompt is None: say what to change"):
        pipe(FRAMES, **SETTINGS)


def as_floats(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2) / 255


def test_floats_are_taken_as_diffusers_takes_them(pipe):
    floats = as_floats(FRAMES)
    expected = edit(pipe, output_type="pt")
    forms = (floats, floats * 2 - 1, list(floats), floats.permute(0, 2, 3, 1).numpy())
    for frames in (*forms, [Image.fromarray(frame) for frame in FRAMES]):
        assert torch.allclose(edit(pipe, frames, output_type="pt"), expected, atol=1e-4)


def test_tensors_come_back_in_the_range_of_colours(pipe):
    out = edit(pipe, output_type="pt")
    assert 0 <= out.min() < out.max() <= 1
    levels = (out * 255).round().permute(0, 2, 3, 1).to(torch.uint8).numpy()
    assert_same_frames(edit(pipe), levels)


@pytest.mark.parametrize("output_type", ["np", "pt", "pil"])
def test_frames_larger_than_the_model_are_edited_at_its_size_and_enlarged(pipe, output_type):
    pipe.defaults = replace(pipe.defaults, size=16)
    frames = make_frames(4, height=48, width=64)
    out = pipe(frames, "make it red", output_type=output_type, **SETTINGS)
    assert (out.used.height, out.used.width) == (12, 16)
    shown = out.frames.permute(0, 2, 3, 1) if output_type == "pt" else out.frames
    assert np.asarray(shown[0]).shape == (48, 64, 3)
    small = pipe(frames, "make it red", height=12, width=16, **SETTINGS).frames
    expected = enlarge(frames[1], small[1], (48, 64), method="guided")
    levels = np.asarray(shown[1]) * (255 if output_type == "pt" else 1)
    assert np.abs(levels.astype(float).round() - expected).max() <= 1


def test_a_size_that_is_asked_for_wins(pipe):
    pipe.defaults = replace(pipe.defaults, size=16)
    out = edit(pipe, make_frames(2, height=48, width=64), height=24, width=32)
    assert out.shape == (2, 24, 32, 3)


def test_frames_off_the_grid_come_back_at_their_own_size(pipe):
    out = edit(pipe, make_frames(2, height=13, width=19))
    assert out.shape == (2, 13, 19, 3)


def alike(one, other) -> None:
    assert torch.allclose(one, other, rtol=1e-6, atol=1e-6)


def test_latents_embeddings_and_timesteps_work_as_in_diffusers(tiny_pipeline):
    theirs = tiny_pipeline.to(torch.float64)
    text, negative = torch.randn(2, 1, 32, 16, dtype=torch.float64).unbind()
    noise = torch.randn(1, 4, 6, 8, dtype=torch.float64)
    given = (
        {"latents": noise, "prompt": "red"},
        {"prompt_embeds": text, "negative_prompt_embeds": negative},
    )
    shared = {"guidance_scale": 7.5, "image_guidance_scale": 1.5, "output_type": "latent"}
    for extra in given:
        expected = StableDiffusionInstructPix2PixPipeline.__call__(
            theirs,
            image=to_tensor(FRAMES[0])[None] / 2 + 0.5,
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(3),
            **extra,
            **shared,
        ).images
        ours = FairyPipeline.from_pipe(theirs)
        out = ours(FRAMES[:1], generator=3, num_inference_steps=2, **extra, **shared)
        alike(out.frames, expected)


@pytest.mark.parametrize("chosen", [{"timesteps": [999, 499]}, {"sigmas": [14.0, 1.5]}])
def test_own_timesteps_or_sigmas_replace_the_steps(pipe, chosen):
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    settings = {"generator": 0, "num_anchors": 1}
    out = pipe(FRAMES, "make it red", **chosen, **settings)
    assert out.used.num_inference_steps == 2
    other = pipe(FRAMES, "make it red", num_inference_steps=3, **settings)
    assert not np.array_equal(out.frames, other.frames)


def test_the_timesteps_of_the_scheduler_change_nothing(pipe):
    pipe.scheduler = EulerDiscreteScheduler.from_config(
        pipe.scheduler.config, timestep_spacing="trailing"
    )
    pipe.scheduler.set_timesteps(2)
    given = [int(step) for step in pipe.scheduler.timesteps]
    out = pipe(FRAMES, "make it red", timesteps=given, generator=0, num_anchors=1).frames
    assert_same_frames(out, edit(pipe))


def test_the_bar_counts_frames_and_can_be_turned_off(tiny_pipeline, capsys):
    tiny_pipeline.set_progress_bar_config()
    pipe = FairyPipeline.from_pipe(tiny_pipeline)
    edit(pipe)
    assert "4/4" in capsys.readouterr().err
    pipe.set_progress_bar_config(disable=True)
    edit(pipe)
    edit(FairyPipeline.from_pipe(pipe))
    assert capsys.readouterr().err == ""


def test_a_plain_pipeline_of_a_folder_keeps_the_settings_beside_it(tmp_path):
    folder = save_tiny_pipeline(tmp_path, size=32, num_inference_steps=3)
    plain = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder)
    pipe = FairyPipeline.from_pipe(plain)
    assert (pipe.defaults.size, pipe.defaults.num_inference_steps) == (32, 3)


def test_several_instructions_are_refused(pipe):
    with pytest.raises(ValueError, match="prompt is a list"):
        pipe(FRAMES, ["make it red", "make it blue"])


def test_a_typo_is_not_swallowed(pipe):
    with pytest.raises(TypeError, match="'num_inference_step'"):
        edit(pipe, num_inference_step=2)


def test_defaults_of_diffusers_mean_nothing(pipe):
    assert np.array_equal(edit(pipe, num_images_per_prompt=1, latents=None), edit(pipe))
