"""What a step of the editor stage takes from its pairs, new or finetuned, images or clips."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import Tensor

from fairy.errors import SettingsError
from fairy.synthetic import edits
from fairy.synthetic.edits import EDITS_BY_NAME
from fairy.training.data.pairs import Parts, ScenePairs
from fairy.training.editor import EditorStage
from fairy.training.model.editor_parts import new_editor
from fairy.training.run.trainer import train
from fairy.training.stages import build_stage
from tests.training.conftest import MakeConfig

CPU = torch.device("cpu")


class Recorder(torch.nn.Module):
    """Replaces the model; keeps its inputs."""

    def forward(self, noisy: Tensor, image: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        self.noisy, self.image, self.timesteps, self.ids = noisy, image, timesteps, ids
        return torch.zeros_like(noisy)


def record(make: MakeConfig, output: Path, **settings: object) -> Recorder:
    plain = {"timestep_set": [], "own_guess_share": 0}
    config = make(output, batch_size=4, sizes=[[32, 32]], **{**plain, **settings})
    recorder = Recorder()
    EditorStage(config, ScenePairs(config, CPU), new_editor(config)).loss(recorder, 1, 0)
    return recorder


def test_copies_of_a_pair_get_their_own_noise(editor_config: MakeConfig, tmp_path: Path) -> None:
    seen = record(editor_config, tmp_path, draws_per_pair=2, drop_text=0, drop_image=0, drop_both=0)
    assert torch.equal(seen.image[:2], seen.image[2:])
    assert torch.equal(seen.ids[:2], seen.ids[2:])
    assert not torch.equal(seen.noisy[:2], seen.noisy[2:])


def test_frames_of_a_clip_move_but_share_instruction_and_time(
    editor_config: MakeConfig, tmp_path: Path
) -> None:
    settings = {"clip_frames": 2, "clip_anchors": 1, "affine_rotation_deg": 5}
    seen = record(editor_config, tmp_path, drop_text=0, drop_image=0, drop_both=0, **settings)
    assert torch.equal(seen.ids[::2], seen.ids[1::2])
    assert torch.equal(seen.timesteps[::2], seen.timesteps[1::2])
    assert not torch.equal(seen.timesteps[0], seen.timesteps[2])
    assert not torch.equal(seen.image[0], seen.image[1])


def test_frames_of_a_clip_share_their_noise(editor_config: MakeConfig, tmp_path: Path) -> None:
    # A path that stays where it is: then the noisy latents are equal if the noise is.
    seen = record(editor_config, tmp_path, clip_frames=2, clip_anchors=1)
    torch.testing.assert_close(seen.noisy[::2], seen.noisy[1::2], atol=1e-4, rtol=0)
    assert not torch.allclose(seen.noisy[0], seen.noisy[2], atol=1e-2)


def test_pairs_without_image_see_zeros(editor_config: MakeConfig, tmp_path: Path) -> None:
    seen = record(editor_config, tmp_path, drop_text=0, drop_image=1, drop_both=0)
    assert not seen.image.any()
    assert len(seen.ids.unique(dim=0)) > 1


def test_pairs_without_text_see_the_empty_instruction(
    editor_config: MakeConfig, tmp_path: Path
) -> None:
    seen = record(editor_config, tmp_path, drop_text=1, drop_image=0, drop_both=0)
    assert len(seen.ids.unique(dim=0)) == 1
    assert seen.image.any()


class Oracle(torch.nn.Module):
    """Replaces a model of the SD kind by one that solves for the noise."""

    def __init__(self, stage: EditorStage, latents: Tensor) -> None:
        super().__init__()
        self.alphas = stage.noise_scheduler.alphas_cumprod
        self.latents = latents

    def forward(self, noisy: Tensor, image: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        alpha = self.alphas[timesteps][:, None, None, None]
        return (noisy - alpha.sqrt() * self.latents) / (1 - alpha).sqrt()


def test_a_finetuned_sd_model_learns_the_noise_on_scaled_latents(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    config = finetune_config(tmp_path)
    stage = build_stage(config, CPU, Parts())
    assert isinstance(stage, EditorStage)
    targets = stage.examples(1, 0)[0][1]
    vae = stage.pipeline.vae
    with torch.no_grad():
        latents = vae.encode(targets).latent_dist.mode() * vae.config.scaling_factor
    assert float(stage.loss(Oracle(stage, latents), 1, 0)["loss"]) < 1e-6


def test_pictures_are_loaded_larger_and_cropped(
    finetune_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = build_stage(finetune_config(tmp_path), CPU, Parts())
    assert isinstance(stage, EditorStage)
    asked: list[tuple[int, int]] = []
    make = stage.source.pairs

    def spy(step: int, batch_size: int, size: tuple[int, int], **kwargs: object) -> object:
        asked.append(size)
        return make(step, batch_size, size, **kwargs)

    monkeypatch.setattr(stage.source, "pairs", spy)
    source, target = stage.examples(1, 0)[0]
    assert asked == [(18, 18)]
    assert source.shape == target.shape == (2, 3, 16, 16)


def test_pixels_of_pixel_art_stay_on_the_screen_s_grid(
    editor_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixel_art = (EDITS_BY_NAME["pixel_art"],)
    monkeypatch.setattr(edits, "sample_pairs", partial(edits.sample_pairs, edits=pixel_art))
    moved = {"resize_scale": 1.125, "affine_rotation_deg": 5.0, "clip_frames": 2, "clip_anchors": 1}
    config = editor_config(tmp_path, batch_size=4, sizes=[[32, 32]], **moved)
    stage = EditorStage(config, ScenePairs(config, CPU), new_editor(config))
    target = stage.examples(1, 0)[0][1]
    blocks = target.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
    assert float((blocks.amax(-1) - blocks.amin(-1)).max()) < 1e-5


class Clean(torch.nn.Module):
    """Replaces the model by one that knows the clean latents."""

    def __init__(self, latents: Tensor) -> None:
        super().__init__()
        self.latents = latents

    def forward(self, noisy: Tensor, image: Tensor, timesteps: Tensor, ids: Tensor) -> Tensor:
        return self.latents


def test_a_new_editor_learns_the_clean_latents(editor_config: MakeConfig, tmp_path: Path) -> None:
    config = editor_config(tmp_path, batch_size=4, sizes=[[32, 32]])
    stage = EditorStage(config, ScenePairs(config, CPU), new_editor(config))
    with torch.no_grad():
        latents = stage.pipeline.vae.encode(stage.examples(1, 0)[0][1]).latents
    assert float(stage.loss(Clean(latents), 1, 0)["loss"]) < 1e-10


def test_own_guesses_replace_the_target_in_deterministic_edits_only(
    editor_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The noisy latents differ from those without guesses where the model may be asked first."""
    settings = {"timestep_set": [999, 499], "pure_noise_share": 0.3, "drop_text": 0}
    config = editor_config(tmp_path, batch_size=12, sizes=[[32, 32]], **settings)
    source = ScenePairs(config, CPU)
    recorders = []
    for share in (0.0, 1.0):
        own = editor_config(tmp_path, batch_size=12, own_guess_share=share, **settings)
        recorders.append(Recorder())
        EditorStage(own, source, new_editor(own)).loss(recorders[-1], 3, 0)
    plain, guessed = recorders
    assert torch.equal(plain.timesteps, guessed.timesteps)
    names = source.pairs(3, 12, (64, 64)).names
    deterministic = torch.tensor([EDITS_BY_NAME[name].deterministic for name in names])
    changed = (plain.noisy != guessed.noisy).any(3).any(2).any(1)
    assert torch.equal(changed, deterministic & (plain.timesteps < 999))
    assert changed.any() and not changed.all()


@pytest.mark.parametrize("frames", [1, 4])
def test_minis_kind_is_finetuned_on_images_and_clips(
    finetune_config: MakeConfig, tiny_mini: Path, tmp_path: Path, frames: int
) -> None:
    settings = {
        "model": str(tiny_mini),
        "data": None,
        "batch_size": 8,
        "clip_frames": frames,
        "own_guess_share": 1.0,
        "channel_weight_power": 0.5,
        "timestep_set": [999, 499],
    }
    config = finetune_config(tmp_path, clip_anchors=2, max_steps=2, **settings)
    folder = train(config)
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder)
    before = StableDiffusionInstructPix2PixPipeline.from_pretrained(tiny_mini)
    assert pipeline.scheduler.config.prediction_type == "sample"
    assert not torch.allclose(
        pipeline.unet.conv_out.weight, before.unet.conv_out.weight.half().float(), atol=1e-6
    )


@pytest.mark.parametrize("setting", ["own_guess_share", "channel_weight_power"])
def test_settings_of_minis_kind_are_refused_for_others(
    finetune_config: MakeConfig, tmp_path: Path, setting: str
) -> None:
    with pytest.raises(SettingsError, match=f"{setting} is for models .*set it to 0"):
        build_stage(finetune_config(tmp_path, **{setting: 0.5}), CPU, Parts())
