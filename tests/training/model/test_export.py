"""The finished folder: plain diffusers loads it, and the weights are the averaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusionInstructPix2PixPipeline
from safetensors.torch import load_file

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.models.defaults import ModelDefaults, model_defaults
from fairy.training.model.editor_parts import EditorParts
from fairy.training.model.export import export_pipeline
from fairy.training.run.trainer import train
from tests.tiny import make_frames, make_tiny_pipeline
from tests.training.conftest import MakeConfig


@pytest.fixture(scope="module")
def folder(editor_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new editor, exported after four steps."""
    return train(editor_config(tmp_path_factory.mktemp("run"), validate_every=100))


def test_plain_diffusers_loads_and_edits(folder: Path) -> None:
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    image = torch.rand(1, 3, 64, 64)
    result = pipeline("make it night", image=image, num_inference_steps=2, output_type="np")
    assert result.images.shape == (1, 64, 64, 3)


def test_weights_are_the_averaged_ones_in_half_precision(folder: Path) -> None:
    mean = load_file(folder.parent / "checkpoint-000004" / "ema.safetensors")
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(value, mean[f"unet.{name}"].half()) for name, value in unet.items())


def test_text_weights_have_published_names_and_load(folder: Path) -> None:
    saved = load_file(folder / "text_encoder" / "model.safetensors")
    assert all(name.startswith("text_model.") for name in saved)
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder)
    loaded = pipeline.text_encoder.get_input_embeddings().weight
    assert torch.equal(loaded.half(), saved["text_model.embeddings.token_embedding.weight"])


def test_any_user_may_read_the_weights(folder: Path) -> None:
    usual = (folder / "model_index.json").stat().st_mode
    assert {path.stat().st_mode for path in folder.rglob("*.safetensors")} == {usual}


def test_no_path_of_this_machine_is_in_the_settings(folder: Path) -> None:
    for path in folder.rglob("*.json"):
        assert "_name_or_path" not in path.read_text()


def test_a_tiny_autoencoder_saves_no_setting_it_derives(tmp_path: Path) -> None:
    pipeline = make_tiny_pipeline()
    channels = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8)}
    blocks = {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}
    pipeline.register_modules(vae=AutoencoderTiny(latent_channels=4, **channels, **blocks))
    pipeline.tokenizer.save_pretrained(tmp_path / "tokenizer")
    parts = EditorParts(pipeline, ModelDefaults(), tmp_path / "tokenizer")
    export_pipeline(parts, tmp_path / "model", "card")
    settings = json.loads((tmp_path / "model" / "vae" / "config.json").read_text())
    assert "block_out_channels" not in settings
    loaded = AutoencoderTiny.from_pretrained(tmp_path / "model" / "vae")
    assert loaded.config.block_out_channels == loaded.config.decoder_block_out_channels


def test_sampler_is_trailing_with_zero_terminal_snr(folder: Path) -> None:
    settings = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    assert settings["_class_name"] == "DDPMScheduler"
    assert settings["clip_sample"] is False
    assert settings["timestep_spacing"] == "trailing"
    assert settings["rescale_betas_zero_snr"] is True
    assert settings["prediction_type"] == "sample"


def test_defaults_name_what_the_model_knows(folder: Path) -> None:
    defaults = json.loads((folder / "fairy.json").read_text())
    assert "make it night" in defaults["instructions"]
    assert "night" in defaults["words"]
    assert (defaults["size"], defaults["guidance_scale"], defaults["scheduler"]) == (64, 1.0, None)


def test_each_edit_has_its_steps_and_phrases(folder: Path) -> None:
    edits = {edit.name: edit for edit in model_defaults(folder).edits}
    assert (edits["night"].steps, edits["recolour"].steps, edits["neon"].steps) == (2, 2, 6)
    assert edits["neon"].instruction == "make it neon"
    assert "draw {it} with neon lines" in edits["neon"].phrases


def test_finetuned_model_edits_at_once_and_keeps_its_defaults(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    folder = train(finetune_config(tmp_path, max_steps=1))
    pipeline = FairyPipeline.from_pretrained(folder, device="cpu", dtype="float32")
    assert pipeline.defaults.guidance_scale == 3.0
    frames = make_frames(3)
    edited = pipeline(frames, "make it 3", num_inference_steps=1, num_anchors=1, generator=0).frames
    assert edited.shape == frames.shape
    assert "of which the UNet was finetuned equivariantly" in (folder / "README.md").read_text()


def test_a_convolutional_autoencoder_keeps_its_settings(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    config = finetune_config(tmp_path, max_steps=1)
    folder = train(config)
    before, after = (
        json.loads((Path(place) / "vae" / "config.json").read_text())
        for place in (str(config.model), folder)
    )
    assert after["block_out_channels"] == before["block_out_channels"]


def test_lora_is_in_the_exported_weights_and_beside_them(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    settings = {"lora_rank": 2, "learning_rate": 0.5, "ema_decay": 0.0}
    config = finetune_config(tmp_path, **settings)
    folder = train(config)
    before, after = (
        load_file(Path(place) / "unet" / "diffusion_pytorch_model.safetensors")
        for place in (str(config.model), folder)
    )
    assert before.keys() == after.keys()
    changed = {name for name in before if (before[name] - after[name]).abs().max() > 1e-2}
    assert changed and all(".to_" in name for name in changed)
    # The LoRA alone, on the model it was trained on, is the exported model.
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(config.model)
    pipeline.load_lora_weights(folder, weight_name="lora.safetensors")
    pipeline.unet.fuse_lora()
    pipeline.unet.unload_lora()
    for name, weight in pipeline.unet.state_dict().items():
        torch.testing.assert_close(weight, after[name].float(), atol=2e-3, rtol=2e-3)


def test_model_card_of_an_earlier_export_is_kept(editor_config: MakeConfig, folder: Path) -> None:
    (folder / "README.md").write_text("our card")
    train(editor_config(folder.parent, resume=True))
    assert (folder / "README.md").read_text() == "our card"
