"""Models without weights have the shapes of the real ones."""

from __future__ import annotations

import json

import pytest
import torch

from fairy.errors import ModelError
from fairy.models.blueprint import SD15, Blueprint, blueprints
from tests.tiny import make_tiny_mini, save_tiny_pipeline


def test_blueprint_builds_the_same_shapes_without_numbers(tiny_pipeline):
    built = Blueprint.of(tiny_pipeline.unet).build(torch.float16)
    shapes = {name: p.shape for name, p in tiny_pipeline.unet.named_parameters()}
    assert {name: p.shape for name, p in built.named_parameters()} == shapes
    assert {(p.device.type, p.dtype) for p in built.parameters()} == {("meta", torch.float16)}


def test_equal_models_have_equal_blueprints(tiny_pipeline):
    assert Blueprint.of(tiny_pipeline.vae) == Blueprint.of(tiny_pipeline.vae)
    assert Blueprint.of(tiny_pipeline.vae) != Blueprint.of(tiny_pipeline.unet)


def test_sd15_has_the_published_numbers_of_parameters():
    # Stable Diffusion 1.5's checkpoint, and 4 more channels into the UNet's first 3x3 convolution
    unet = 859_520_964 + 4 * 320 * 9
    expected = {"unet": unet, "vae": 83_653_863, "text_encoder": 123_060_480}
    assert {name: part.num_parameters for name, part in SD15.items()} == expected


def test_changed_blueprint_builds_another_model():
    wider = SD15["vae"].changed(latent_channels=16)
    assert wider.build().config.latent_channels == 16
    assert SD15["vae"].build().config.latent_channels == 4


def test_model_off_the_meta_device_has_weights(tiny_pipeline):
    built = Blueprint.of(tiny_pipeline.vae).build(torch.bfloat16, torch.device("cpu"))
    assert built.encoder.conv_in.weight.dtype == torch.bfloat16
    assert built.encoder.conv_in.weight.std() > 0


def test_parts_of_a_folder_are_those_with_weights(tmp_path, tiny_pipeline):
    parts, defaults = blueprints(save_tiny_pipeline(tmp_path, size=48))
    assert parts.keys() == {"unet", "vae", "text_encoder"}
    num_parameters = sum(p.numel() for p in tiny_pipeline.text_encoder.parameters())
    assert parts["text_encoder"].num_parameters == num_parameters
    assert defaults.size == 48


def test_parts_of_minis_kind_are_known(tmp_path):
    parts, _ = blueprints(save_tiny_pipeline(tmp_path, make=make_tiny_mini))
    weights = make_tiny_mini().vae.parameters()
    assert parts["vae"].num_parameters == sum(weight.numel() for weight in weights)


def test_hub_id_that_cannot_be_fetched_says_what_to_do(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="cannot be reached; use sd15 for"):
        blueprints("nobody/has-this")


def test_single_file_says_what_to_name_instead(tmp_path):
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(ModelError, match="use a folder"):
        blueprints(path)


def test_part_of_an_unknown_library_is_refused(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    index = {"unet": ["elsewhere", "Model"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="elsewhere"):
        blueprints(tmp_path)
