"""ControlNets: names, weights from folders, and what does not fit said in one line."""

from __future__ import annotations

import doctest

import diffusers
import pytest
import torch

from examples.tiny_editor import make_tiny_editor
from fairy.errors import FairyError, ModelError, SettingsError
from fairy.models import controlnets
from fairy.models.controlnets import load_controlled, read_controls
from tests.tiny import save_tiny_pipeline


def test_examples():
    assert doctest.testmod(controlnets).failed == 0


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["edges"], "'edges' is unknown: use ip2p, canny"),
        (["canny", "canny:0.5"], "canny is given twice"),
        (["canny:-1"], "at least 0"),
        (["canny:nan"], "at least 0"),
    ],
)
def test_a_wrong_name_is_refused(entries, words):
    with pytest.raises(SettingsError, match=words):
        read_controls(entries)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint of Stable Diffusion's kind without ControlNets, and a ControlNet."""
    pipe = make_tiny_editor("controlnet")
    checkpoint, net = (tmp_path_factory.mktemp(name) for name in ("checkpoint", "net"))
    parts = {name: part for name, part in pipe.components.items() if name != "controlnet"}
    diffusers.StableDiffusionPipeline(**parts, requires_safety_checker=False).save_pretrained(
        checkpoint
    )
    pipe.controlnet.save_pretrained(net)
    return str(checkpoint), str(net)


def load(checkpoint: str, *entries: str):
    return load_controlled(checkpoint, read_controls(entries), device="cpu")


def test_a_checkpoint_and_its_controlnets_become_diffusers_pipeline(folders):
    checkpoint, net = folders
    pipe = load(checkpoint, f"ip2p={net}")
    assert type(pipe) is diffusers.StableDiffusionControlNetPipeline
    original = make_tiny_editor("controlnet")
    for part in ("unet", "controlnet"):
        for name, weight in getattr(original, part).state_dict().items():
            assert torch.equal(getattr(pipe, part).state_dict()[name], weight), name
    assert len(load(checkpoint, f"ip2p={net}", f"canny={net}:0.5").controlnet.nets) == 2


def test_an_instruct_pix2pix_model_takes_none(folders, tmp_path):
    own = save_tiny_pipeline(tmp_path / "own")
    with pytest.raises(ModelError, match="leave --control out"):
        load(str(own), f"canny={folders[1]}")


def test_another_kind_of_model_takes_none(folders, tmp_path):
    make_tiny_editor("klein").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is a Flux2KleinPipeline: --control needs"):
        load(str(tmp_path), f"canny={folders[1]}")


def test_a_controlnet_for_other_text_is_refused(folders, tmp_path):
    config = {"cross_attention_dim": 16, "conditioning_embedding_out_channels": (4, 8, 8, 8)}
    config |= {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
    config |= {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D")}
    diffusers.ControlNetModel(**config, attention_head_dim=2).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="text of 16 channels"):
        load(folders[0], f"canny={tmp_path}")


@pytest.mark.parametrize("name", ["gone", "./gone", "nobody/gone"])
def test_missing_weights_are_one_line(folders, name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FairyError, match="gone: no") as caught:
        load(folders[0], f"canny={name}")
    assert "\n" not in str(caught.value)
    if name == "nobody/gone":
        assert "hf download nobody/gone" in str(caught.value)
