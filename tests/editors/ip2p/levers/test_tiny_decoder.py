"""A tiny decoder: takes the latents as they are scaled, and only where they are its own kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny

from fairy.editors.ip2p.levers.tiny_decoder import load_decoder
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import ModelError, SettingsError
from tests.tiny import make_frames, make_tiny_autoencoder

FRAMES = make_frames(2, height=12, width=16)


def save_decoder(folder: Path, latent_channels: int = 4, num_levels: int = 2) -> str:
    torch.manual_seed(0)
    AutoencoderTiny(
        encoder_block_out_channels=(8,) * num_levels,
        decoder_block_out_channels=(8,) * num_levels,
        num_encoder_blocks=(1,) * num_levels,
        num_decoder_blocks=(1,) * num_levels,
        latent_channels=latent_channels,
    ).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def pipe(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


@torch.no_grad()
def test_it_decodes_the_scaled_latents_that_the_model_gives(pipe, tmp_path):
    settings = {"num_inference_steps": 1, "num_anchors": 1, "generator": 0}
    latents = pipe(FRAMES, "make it red", output_type="latent", **settings).frames
    pipe.decoder = load_decoder(save_decoder(tmp_path), pipe, "tiny")
    images = pipe(FRAMES, "make it red", output_type="pt", **settings).frames
    # Trained on latents times the scaling factor (0.18215 for SD 1.5): its own factor is 1
    expected = pipe.decoder.decode(latents).sample.clamp(-1, 1)
    assert torch.allclose(images, (expected + 1) / 2, atol=1e-5)


def test_sources_are_encoded_by_the_models_own(pipe, tmp_path):
    settings = {"num_inference_steps": 1, "num_anchors": 1, "generator": 0}
    before = pipe(FRAMES, "make it red", output_type="latent", **settings).frames
    pipe.decoder = load_decoder(save_decoder(tmp_path), pipe, "tiny")
    after = pipe(FRAMES, "make it red", output_type="latent", **settings).frames
    assert torch.allclose(after, before, atol=1e-5)


@pytest.mark.parametrize(("channels", "levels"), [(12, 2), (4, 3)])
def test_one_of_other_latents_is_refused(pipe, tmp_path, channels, levels):
    name = save_decoder(tmp_path, channels, levels)
    with pytest.raises(SettingsError, match="model tiny has 4 at 1/2; use a decoder made for it"):
        load_decoder(name, pipe, "tiny")


@pytest.mark.parametrize("kind", ["tiny", "patch"])
def test_a_model_that_has_a_tiny_one_itself_needs_none(pipe, tmp_path, kind):
    tiny = AutoencoderTiny.from_pretrained(save_decoder(tmp_path))
    pipe.vae = tiny if kind == "tiny" else make_tiny_autoencoder()
    with pytest.raises(SettingsError, match="model mini already has a tiny autoencoder; leave"):
        load_decoder("madebyollin/taesd", pipe, "mini")


def test_one_that_is_not_there_is_named(pipe, tmp_path):
    with pytest.raises(ModelError, match=r"decoder .*: cannot be loaded .*as madebyollin/taesd"):
        load_decoder(str(tmp_path), pipe, "tiny")
