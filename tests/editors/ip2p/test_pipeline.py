"""The method's promises, on the whole pipeline with tiny random models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionInstructPix2PixPipeline,
)

from fairy.anchors.attention import self_attention_layers
from fairy.anchors.cache import AnchorCache
from fairy.editors.images import to_tensor
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import InstructionError, SettingsError
from fairy_kernels.availability import interpreted
from tests.tiny import (
    assert_same_frames,
    make_frames,
    make_tiny_pipeline,
    make_tiny_sample_pipeline,
)

FRAMES = make_frames(7, height=12, width=16)
STEPS = 2
ONE_BRANCH = {"guidance_scale": 1.0, "image_guidance_scale": 1.0}
TWO_BRANCHES = {"guidance_scale": 7.5, "image_guidance_scale": 1.0}
THREE_BRANCHES = {"guidance_scale": 7.5, "image_guidance_scale": 1.5}
GUIDANCE = [ONE_BRANCH, TWO_BRANCHES, THREE_BRANCHES]


@pytest.fixture
def pipe(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


def edit_with_report(pipe: FairyPipeline, frames=FRAMES, **settings):
    """Return the pipeline's output; `settings` replace the short ones here."""
    settings = {"num_inference_steps": STEPS, "generator": 3, "output_type": "pt"} | settings
    return pipe(frames, "make it red", **settings)


def edit(pipe: FairyPipeline, frames=FRAMES, **settings):
    return edit_with_report(pipe, frames, **settings).frames


def edit_image(pipe: StableDiffusionInstructPix2PixPipeline, frame: np.ndarray, **settings):
    """Return what diffusers' own pipeline makes of one frame."""
    image = to_tensor(frame)[None] / 2 + 0.5
    generator = torch.Generator().manual_seed(3)
    return pipe(
        "make it red",
        image=image,
        generator=generator,
        num_inference_steps=STEPS,
        output_type="latent",
        **settings,
    ).images


def in_double() -> StableDiffusionInstructPix2PixPipeline:
    # Rounding of random weights under guidance 7.5 must not blur the comparison
    pipe = make_tiny_pipeline().to(torch.float64)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("guidance", GUIDANCE)
def test_one_frame_equals_diffusers(guidance):
    theirs = in_double()
    ours = FairyPipeline.from_pipe(theirs)
    expected = edit_image(theirs, FRAMES[0], **guidance)
    out = edit(ours, FRAMES[:1], output_type="latent", **guidance)
    assert torch.allclose(out, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "scheduler",
    [
        DDIMScheduler,
        DDPMScheduler,
        EulerDiscreteScheduler,
        DPMSolverMultistepScheduler,
        LCMScheduler,
    ],
)
def test_one_frame_equals_diffusers_with_other_schedulers(scheduler):
    theirs = in_double()
    theirs.scheduler = scheduler.from_config(theirs.scheduler.config)
    ours = FairyPipeline.from_pipe(theirs)
    eta = {"eta": 0.7} if scheduler is DDIMScheduler else {}
    expected = edit_image(theirs, FRAMES[0], **THREE_BRANCHES, **eta)
    out = edit(ours, FRAMES[:1], output_type="latent", **THREE_BRANCHES, **eta)
    assert torch.allclose(out, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "scheduler", [DDPMScheduler, DDIMScheduler, EulerDiscreteScheduler, LCMScheduler]
)
@pytest.mark.parametrize("guidance", [ONE_BRANCH, THREE_BRANCHES])
def test_one_frame_of_a_model_that_predicts_samples_equals_diffusers(scheduler, guidance):
    theirs = make_tiny_sample_pipeline().to(torch.float64)
    theirs.set_progress_bar_config(disable=True)
    theirs.scheduler = scheduler.from_config(theirs.scheduler.config)
    expected = edit_image(theirs, FRAMES[0], **guidance)
    out = edit(FairyPipeline.from_pipe(theirs), FRAMES[:1], output_type="latent", **guidance)
    assert torch.allclose(out, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("guidance", [ONE_BRANCH, THREE_BRANCHES])
@pytest.mark.parametrize("scheduler", [DDPMScheduler, LCMScheduler])
def test_stochastic_steps_of_such_a_model_do_not_depend_on_the_batch(scheduler, guidance):
    pipe = FairyPipeline.from_pipe(make_tiny_sample_pipeline())
    pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    expected = edit(pipe, frame_batch_size=7, **guidance)
    for frame_batch_size in (1, 3):
        out = edit(pipe, frame_batch_size=frame_batch_size, **guidance)
        assert torch.equal(out, expected)


def test_guidance_scales_of_one_compute_one_branch(pipe):
    rows = []
    hook = pipe.unet.conv_out.register_forward_hook(lambda m, a, out: rows.append(len(out)))
    used = edit_with_report(pipe, anchor_indices=[0, 1], frame_batch_size=7, **ONE_BRANCH).used
    hook.remove()
    assert used.num_groups == 1
    assert rows == [2, 2, 5, 5]


def test_one_anchor_among_other_frames_equals_diffusers():
    theirs = in_double()
    ours = FairyPipeline.from_pipe(theirs)
    expected = edit_image(theirs, FRAMES[4], **THREE_BRANCHES)
    out = edit(ours, anchor_indices=[4], output_type="latent", **THREE_BRANCHES)
    assert torch.allclose(out[4:5], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("guidance", GUIDANCE)
def test_frame_equal_to_its_only_anchor_equals_plain_attention(guidance):
    theirs = in_double()
    ours = FairyPipeline.from_pipe(theirs)
    expected = edit_image(theirs, FRAMES[0], **guidance)
    twins = np.stack([FRAMES[0], FRAMES[0]])
    out = edit(ours, twins, anchor_indices=[0], output_type="latent", **guidance)
    assert torch.allclose(out[1:], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("guidance", GUIDANCE)
def test_independent_of_frame_batch_size_to_the_bit(pipe, guidance):
    expected = edit(pipe, frame_batch_size=7, **guidance)
    for frame_batch_size in (1, 2, 3, None):
        assert torch.equal(edit(pipe, frame_batch_size=frame_batch_size, **guidance), expected)


def test_same_seed_same_video(pipe):
    expected = edit(pipe, generator=5)
    given = torch.Generator().manual_seed(5)
    assert torch.allclose(edit(pipe, generator=5), expected, atol=1e-5)
    assert torch.allclose(edit(pipe, generator=given), expected, atol=1e-5)


def test_other_seed_other_video(pipe):
    assert not torch.allclose(edit(pipe, generator=5), edit(pipe, generator=6), atol=1e-2)


def test_equal_frames_stay_equal(pipe):
    out = edit(pipe, FRAMES[[0, 1, 1, 2, 1]], anchor_indices=[0, 3])
    assert torch.allclose(out[1], out[2], atol=1e-5)
    assert torch.allclose(out[1], out[4], atol=1e-5)


@pytest.mark.parametrize("guidance", GUIDANCE)
def test_cache_bytes_equal_the_formula(pipe, guidance):
    used = edit_with_report(pipe, num_anchors=3, **guidance).used
    tokens_by_channels = {16: 6 * 8, 32: 3 * 4}
    layers = self_attention_layers(pipe.unet).values()
    values = sum(tokens_by_channels[layer.query_dim] * layer.inner_dim for layer in layers)
    num_groups = 1 + GUIDANCE.index(guidance)
    first_layer = 6 * 8 * 16
    # There `text` and `image` rows are the same
    rows = num_groups * values - (num_groups > 1) * first_layer
    keys_and_values, element_bytes = 2, 4
    expected = keys_and_values * STEPS * 3 * rows * element_bytes
    assert used.anchor_cache_bytes == expected


def test_far_frame_changes_when_an_anchors_values_change(pipe, monkeypatch):
    before = edit(pipe, anchor_indices=[0], frame_batch_size=7)
    put = AnchorCache.put
    monkeypatch.setattr(
        AnchorCache, "put", lambda self, s, name, k, v: put(self, s, name, k, v + 0.5)
    )
    after = edit(pipe, anchor_indices=[0], frame_batch_size=7)
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[6], after[6], atol=1e-4)


@pytest.mark.parametrize("branch", [0, 1, 2])
def test_each_branch_reads_its_own_anchors(pipe, monkeypatch, branch):
    changed = torch.zeros(3, 1, 1, 1)
    changed[branch] = 0.5
    put = AnchorCache.put
    predictions = []
    for shift in (torch.zeros(3, 1, 1, 1), changed):
        monkeypatch.setattr(
            AnchorCache,
            "put",
            # The first layer, whose `text` and `image` rows are the same, is left alone
            lambda self, s, name, k, v, shift=shift: put(
                self, s, name, k, v + shift if len(v) == 3 else v
            ),
        )
        seen = []
        hook = pipe.unet.conv_out.register_forward_hook(
            lambda m, a, out, seen=seen: seen.append(out)
        )
        # A fixed batch: choosing one runs a trace, which fills a cache without values
        asked = {"anchor_indices": [0], "num_inference_steps": 1, "frame_batch_size": 3}
        edit(pipe, FRAMES[:3], **asked, **THREE_BRANCHES)
        hook.remove()
        # The last call is the frames': rows g*F+f, F = 2
        predictions.append(seen[-1].unflatten(0, (3, 2)))
    for group in range(3):
        same = torch.equal(predictions[0][group], predictions[1][group])
        assert same == (group != branch)


def test_anchors_are_not_computed_twice(pipe):
    rows = []
    hook = pipe.unet.conv_in.register_forward_hook(lambda m, a, out: rows.append(out.shape[0]))
    edit(pipe, anchor_indices=[0, 2], num_inference_steps=1, frame_batch_size=7, **THREE_BRANCHES)
    hook.remove()
    assert rows == [3 * 2, 3 * 5]


def test_processors_are_restored_after_an_exception(pipe, monkeypatch):
    before = dict(pipe.unet.attn_processors)
    monkeypatch.setattr(pipe.unet, "conv_out", None)
    with pytest.raises(TypeError):
        edit(pipe)
    assert pipe.unet.attn_processors == before


def test_out_of_memory_with_the_anchors_says_what_to_do(pipe, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(pipe.unet, "forward", fail)
    with pytest.raises(SettingsError, match="with 2 anchors together: use a smaller size"):
        edit(pipe, num_anchors=2)


def test_scheduler_of_the_pipeline_is_left_alone(pipe):
    before = pipe.scheduler.timesteps.clone()
    edit(pipe)
    assert torch.equal(pipe.scheduler.timesteps, before)


def test_backends_agree(pipe):
    expected = edit_with_report(pipe, FRAMES[:4], backend="reference", **ONE_BRANCH)
    assert expected.used.backend == "reference"
    out = edit(pipe, FRAMES[:4], backend="sdpa", **ONE_BRANCH)
    assert torch.allclose(out, expected.frames, atol=1e-4)


@pytest.mark.parametrize("output_type", ["np", "pt", "pil", "latent"])
def test_output_types(pipe, output_type):
    out = edit(pipe, output_type=output_type, num_inference_steps=1)
    shapes = {"np": (12, 16, 3), "pt": (3, 12, 16), "pil": (12, 16, 3), "latent": (4, 6, 8)}
    assert len(out) == 7
    assert np.asarray(out[0]).shape == shapes[output_type]


def test_size_asked_is_used(pipe):
    assert edit(pipe, height=24, width=32).shape == (7, 3, 24, 32)


def test_defaults_are_used_and_reported(pipe):
    used = pipe(FRAMES[:2], "make it red").used
    assert (used.num_inference_steps, used.guidance_scale, used.num_groups) == (10, 7.5, 3)


def test_half_precision_stays_half(tiny_pipeline):
    pipe = FairyPipeline.from_pipe(tiny_pipeline.to(torch.bfloat16))
    out = edit_with_report(pipe, FRAMES[:3])
    assert out.frames.isfinite().all()
    assert out.used.dtype == "bfloat16"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"anchor_indices": [7]}, SettingsError),
        ({"anchor_indices": []}, SettingsError),
        ({"frame_batch_size": 0}, SettingsError),
        ({"backend": "flash"}, SettingsError),
        ({"output_type": "mp4"}, ValueError),
    ],
)
def test_settings_that_cannot_be_are_refused(pipe, settings, error):
    with pytest.raises(error):
        edit(pipe, **settings)


def test_empty_instruction_is_refused(pipe):
    with pytest.raises(InstructionError):
        pipe(FRAMES, " ")


def test_triton_edits_as_sdpa_does(pipe):
    pytest.importorskip("triton")
    if not interpreted():
        pytest.skip("needs TRITON_INTERPRET=1 on a processor")
    small = make_frames(2, height=8, width=8)
    settings = {**ONE_BRANCH, "num_inference_steps": 1, "num_anchors": 1}
    triton = edit_with_report(pipe, small, backend="triton", **settings)
    assert triton.used.backend == "triton"
    assert torch.allclose(triton.frames, edit(pipe, small, backend="sdpa", **settings), atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_on_a_gpu_triton_edits_as_sdpa_does(dtype):
    pipe = FairyPipeline.from_pretrained("mini", device="cuda", dtype=dtype)
    frames = make_frames(12, height=144, width=256)
    settings = {"num_inference_steps": 4, "output_type": "np"}
    triton, sdpa = (
        np.asarray(edit(pipe, frames, backend=backend, **settings), dtype=np.float64)
        for backend in ("triton", "sdpa")
    )
    psnr = 10 * np.log10(255**2 / np.mean((triton - sdpa) ** 2))
    assert psnr >= 45


def test_without_strength_anchors_change_nothing(pipe):
    one, other = (
        edit(pipe, FRAMES[:3], anchor_indices=[anchor], anchor_strength=0.0)[1] for anchor in (0, 2)
    )
    assert torch.allclose(one, other, atol=1e-5)


def test_strength_of_anchors_changes_the_other_frames_alone(pipe):
    weak, strong = (
        edit(pipe, FRAMES[:3], anchor_indices=[0], anchor_strength=strength)
        for strength in (0.5, 2.0)
    )
    assert torch.allclose(weak[0], strong[0], atol=1e-5)
    assert (weak[1] - strong[1]).abs().max() > 1e-3


def test_shots_named_in_memory_are_edited_as_each_alone(pipe):
    whole = edit_with_report(pipe, shots=[3], num_anchors=2, output_type="np")
    assert whole.used.anchor_indices == (0, 2, 4, 6)
    alone = [edit(pipe, part, num_anchors=2, output_type="np") for part in (FRAMES[:3], FRAMES[3:])]
    assert_same_frames(whole.frames, np.concatenate(alone))


def test_a_shot_does_not_see_another_shots_anchors(pipe):
    before = edit(pipe, shots=[3], num_anchors=1)
    other = FRAMES.copy()
    other[3:] = 255 - other[3:]
    after = edit(pipe, other, shots=[3], num_anchors=1)
    assert torch.allclose(before[:3], after[:3], atol=1e-5)
    as_one = edit(pipe, other, anchor_indices=[0, 3])
    assert not torch.allclose(before[:3], as_one[:3], atol=1e-5)


def test_shots_share_the_noise_of_a_generator(pipe):
    settings = {"num_anchors": 1, "output_type": "np", "shots": [3]}
    given = edit(pipe, generator=torch.Generator().manual_seed(3), **settings)
    assert_same_frames(given, edit(pipe, generator=3, **settings))


def test_a_shot_that_begins_outside_the_clip_is_refused(pipe):
    with pytest.raises(SettingsError, match="frame 7 is not in the clip: use 0 to 6"):
        edit(pipe, shots=[7])
