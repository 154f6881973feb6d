"""Models without weights have the shapes of the real ones."""

from __future__ import annotations

import json

import pytest
import torch

from fairy.errors import ModelError
from fairy.models.blueprint import SD15, Blueprint, blueprints
from tests.tiny import save_tiny_pipeline


def test_blueprint_builds_the_same_shapes_without_numbers(tiny_pipeline):
    built = Blueprint.of(tiny_pipeline.unet).build(torch.float16)
    shapes = {name: p.shape for name, p in tiny_pipeline.unet.named_parameters()}
    assert {name: p.shape for name, p in built.named_parameters()} == shapes
    assert {(p.device.type, p.dtype) for p in built.parameters()} == {("meta", torch.float16)}


def test_equal_models_have_equal_blueprints(tiny_pipeline):
    assert Blueprint.of(tiny_pipeline.vae) == Blueprint.of(tiny_pipeline.vae)
    assert Blueprint.of(tiny_pipeline.vae) != Blueprint.of(tiny_pipeline.unet)


def test_sd15_has_the_published_numbers_of_parameters():
    """859.5 million in the UNet with 8 channels in, 83.7 and 123.1 in the others."""
    millions = {name: round(part.num_parameters / 1e6, 1) for name, part in SD15.items()}
    assert millions == {"unet": 859.5, "vae": 83.7, "text_encoder": 123.1}


def test_parts_of_a_folder_are_those_with_weights(tmp_path, tiny_pipeline):
    parts, defaults = blueprints(save_tiny_pipeline(tmp_path, size=48))
    assert parts.keys() == {"unet", "vae", "text_encoder"}
    num_parameters = sum(p.numel() for p in tiny_pipeline.text_encoder.parameters())
    assert parts["text_encoder"].num_parameters == num_parameters
    assert defaults.size == 48


def test_hub_id_that_cannot_be_fetched_says_what_to_do(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="cannot be reached; sd15 stands for"):
        blueprints("nobody/has-this")


def test_single_file_says_what_to_name_instead(tmp_path):
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(ModelError, match="name a folder"):
        blueprints(path)


def test_part_of_an_unknown_library_is_refused(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    index = {"unet": ["elsewhere", "Model"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="elsewhere"):
        blueprints(tmp_path)
