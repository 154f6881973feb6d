"""A checkpoint in Stable Diffusion's original layout: one file, other names than diffusers'."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from safetensors.torch import save_file
from torch import Tensor

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import ModelError
from tests.tiny import assert_same_frames, make_frames, make_tiny_pipeline

# Regular expressions of diffusers' names and the original ones. The tiny model has two levels of
# one layer: level b is input blocks 2b+1 (layer) and 2b+2 (downsampling), output blocks 2b, 2b+1.
UNET_NAMES = (
    (r"^time_embedding\.linear_(\d)", lambda m: f"time_embed.{2 * int(m[1]) - 2}"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^down_blocks\.(\d)\.resnets\.0", lambda m: f"input_blocks.{2 * int(m[1]) + 1}.0"),
    (r"^down_blocks\.(\d)\.attentions\.0", lambda m: f"input_blocks.{2 * int(m[1]) + 1}.1"),
    (r"^down_blocks\.(\d)\.downsamplers\.0\.conv", r"input_blocks.2.0.op"),
    (r"^mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"output_blocks.{2 * int(m[1]) + int(m[2])}.0"),
    (
        r"^up_blocks\.(\d)\.attentions\.(\d)",
        lambda m: f"output_blocks.{2 * int(m[1]) + int(m[2])}.1",
    ),
    (r"^up_blocks\.0\.upsamplers\.0\.conv", "output_blocks.1.2.conv"),
    (r"(blocks?\.\d\.0|middle_block\.\d)\.norm1", r"\1.in_layers.0"),
    (r"(blocks?\.\d\.0|middle_block\.\d)\.norm2", r"\1.out_layers.0"),
    (r"\.conv1\.", ".in_layers.2."),
    (r"\.conv2\.", ".out_layers.3."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"\.conv_shortcut\.", ".skip_connection."),
)
VAE_NAMES = (
    (r"\.conv_norm_out\.", ".norm_out."),
    (r"\.down_blocks\.(\d)\.resnets", r".down.\1.block"),
    (r"\.down_blocks\.(\d)\.downsamplers\.0", r".down.\1.downsample"),
    (r"\.up_blocks\.(\d)\.resnets", lambda m: f".up.{1 - int(m[1])}.block"),
    (r"\.up_blocks\.(\d)\.upsamplers\.0", lambda m: f".up.{1 - int(m[1])}.upsample"),
    (r"\.mid_block\.resnets\.(\d)", lambda m: f".mid.block_{int(m[1]) + 1}"),
    (r"\.mid_block\.attentions\.0", ".mid.attn_1"),
    (r"\.group_norm\.", ".norm."),
    (r"\.to_([qkv])\.", r".\1."),
    (r"\.to_out\.0\.", ".proj_out."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
)
TEXT_NAMES = ((r"^(text_model\.)?", "text_model."),)


def original_name(name: str, rules: Iterable[tuple[str, object]]) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name


def original_weights(pipe: StableDiffusionInstructPix2PixPipeline) -> dict[str, Tensor]:
    """Return the weights by the original names; the autoencoder's attention as 1x1 convolutions."""
    weights = {}
    for prefix, model, rules in (
        ("model.diffusion_model.", pipe.unet, UNET_NAMES),
        ("first_stage_model.", pipe.vae, VAE_NAMES),
        ("cond_stage_model.transformer.", pipe.text_encoder, TEXT_NAMES),
    ):
        for name, value in model.state_dict().items():
            new = original_name(name, rules)
            as_conv = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", new)
            weights[prefix + new] = value[:, :, None, None].clone() if as_conv else value.clone()
    return weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_tiny_pipeline().save_pretrained(tmp_path / "folder")
    return tmp_path / "folder"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(original_weights(make_tiny_pipeline()), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_weights_are_all_read(file, folder):
    pipe, expected = FairyPipeline.from_pretrained(file, config=folder), make_tiny_pipeline()
    for part in ("unet", "vae", "text_encoder"):
        read, meant = getattr(pipe, part).state_dict(), getattr(expected, part).state_dict()
        assert read.keys() == meant.keys()
        assert all(torch.equal(read[name], meant[name]) for name in meant)


def test_edit_equals_the_folders(file, folder):
    frames, settings = make_frames(3), {"num_inference_steps": 2, "generator": 0}
    single = FairyPipeline.from_pretrained(file, config=str(folder))
    expected = FairyPipeline.from_pretrained(folder)(frames, "make it red", **settings).frames
    assert_same_frames(single(frames, "make it red", **settings).frames, expected)


def test_defaults_are_those_of_the_config(file, folder):
    (folder / "fairy.json").write_text('{"size": 64}')
    assert FairyPipeline.from_pretrained(file, config=folder).defaults.size == 64


def test_dtype_asked_is_the_models(file, folder):
    pipe = FairyPipeline.from_pretrained(file, config=folder, dtype="bfloat16")
    assert pipe.unet.dtype == pipe.vae.dtype == pipe.text_encoder.dtype == torch.bfloat16


def test_without_network_one_line_says_what_to_do(file, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        ModelError, match=r"^model [^\n]*configuration[^\n]*pass config=FOLDER[^\n]*$"
    ):
        FairyPipeline.from_pretrained(file, cache_dir=tmp_path / "empty")


def test_file_that_is_no_such_model_is_one_line(tmp_path, folder):
    save_file({"weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=r"^model [^\n]*CLIPTextModel[^\n]*$"):
        FairyPipeline.from_pretrained(tmp_path / "other.safetensors", config=folder)


def test_file_that_is_not_safetensors_is_one_line(tmp_path, folder):
    (tmp_path / "broken.safetensors").write_bytes(b"not one")
    with pytest.raises(ModelError, match=r"^model [^\n]*broken[^\n]*$"):
        FairyPipeline.from_pretrained(tmp_path / "broken.safetensors", config=folder)
