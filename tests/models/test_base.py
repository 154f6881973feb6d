"""diffusers loads what is saved; a LoRA is loaded only from safetensors."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers import DiffusionPipeline, StableDiffusionInstructPix2PixPipeline

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import ModelError
from fairy.models.defaults import ModelDefaults


def test_saved_pipeline_is_one_that_diffusers_knows(tmp_path, tiny_pipeline):
    FairyPipeline.from_pipe(tiny_pipeline).save_pretrained(tmp_path)
    loaded = DiffusionPipeline.from_pretrained(tmp_path)
    assert type(loaded) is StableDiffusionInstructPix2PixPipeline
    weights = tiny_pipeline.unet.state_dict()
    assert all(torch.equal(value, weights[k]) for k, value in loaded.unet.state_dict().items())


def test_saved_pipeline_keeps_its_defaults(tmp_path, tiny_pipeline):
    pipe = FairyPipeline.from_pipe(tiny_pipeline)
    pipe.defaults = ModelDefaults(size=64, scheduler=None, words=frozenset({"red", "blue"}))
    pipe.save_pretrained(tmp_path)
    assert FairyPipeline.from_pretrained(tmp_path).defaults == pipe.defaults


def test_model_without_defaults_of_its_own_is_saved_without(tmp_path, tiny_pipeline):
    FairyPipeline.from_pipe(tiny_pipeline).save_pretrained(tmp_path)
    assert not (tmp_path / "fairy.json").exists()
    saved = json.loads((tmp_path / "model_index.json").read_text())
    assert saved["_class_name"] == "StableDiffusionInstructPix2PixPipeline"


def test_pickled_lora_is_refused(tmp_path, tiny_pipeline):
    pipe = FairyPipeline.from_pipe(tiny_pipeline)
    torch.save({}, tmp_path / "lora.bin")
    with pytest.raises(ModelError, match=r"^LoRA [^\n]*lora\.bin: only \.safetensors"):
        pipe.load_lora_weights(tmp_path / "lora.bin")
    with pytest.raises(ModelError, match=r"^LoRA lora\.bin: only \.safetensors"):
        pipe.load_lora_weights(tmp_path, weight_name="lora.bin")
