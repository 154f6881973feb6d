"""A reference through an IP-Adapter: diffusers' own result for one frame, and anchors beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
import transformers
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from safetensors.torch import save_file

from fairy.editors.base import Anchor, EditInput
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.loading import load_editor
from fairy.errors import ModelError, SettingsError
from fairy.media.write import write_video
from fairy.models.ip_adapter import load_ip_adapter
from fairy.settings import Compute, EditConfig
from tests.tiny import make_frames, make_tiny_pipeline, save_tiny_pipeline

SIZE, DIM = (32, 32), 8


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> str:
    """Save a tiny random IP-Adapter for the tiny UNet, with its image encoder."""
    folder = tmp_path_factory.mktemp("adapter")
    config = transformers.CLIPVisionConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        image_size=32,
        patch_size=16,
        projection_dim=DIM,
    )
    torch.manual_seed(0)
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
    unet = make_tiny_pipeline().unet
    weights = {
        "image_proj.proj.weight": torch.randn(4 * 16, DIM),
        "image_proj.proj.bias": torch.randn(4 * 16),
        "image_proj.norm.weight": torch.ones(16),
        "image_proj.norm.bias": torch.zeros(16),
    }
    # As the published weights number the text's attention layers among all
    for number, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            attn = unet.get_submodule(name.removesuffix(".processor"))
            for part in ("k", "v"):
                weight = torch.randn(attn.inner_dim, 16)
                weights[f"ip_adapter.{number}.to_{part}_ip.weight"] = weight
    save_file(weights, folder / "adapter.safetensors")
    return str(folder / "adapter.safetensors")


@pytest.fixture(scope="module")
def hat(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("hat") / "hat.png"
    write_video(make_frames(1, 40, 48, seed=9), path)
    return path


@pytest.fixture(scope="module")
def editor(adapter: str, tmp_path_factory) -> FairyPipeline:
    model = str(save_tiny_pipeline(tmp_path_factory.mktemp("model")))
    loaded = load_editor(Compute(model=model, device="cpu", ip_adapter=f"{adapter}:0.7"))
    kinds = [type(one) for one in loaded.unet.attn_processors.values()]
    assert kinds.count(IPAdapterAttnProcessor2_0) == len(kinds) // 2
    return loaded


def edit(editor: FairyPipeline, frames: np.ndarray, anchors: list[int], **settings) -> np.ndarray:
    config = EditConfig(num_inference_steps=2, seed=3, **settings)
    chosen = [Anchor(index, frames[index]) for index in anchors]
    with editor.begin("snow", chosen, config, size=SIZE) as session:
        return session.edit([EditInput(index, frame) for index, frame in enumerate(frames)])


FRAMES = make_frames(3, *SIZE)


@pytest.mark.parametrize("scales", [(7.5, 1.5), (7.5, 1.0), (1.0, 1.0)])
def test_one_frame_is_diffusers_own_result(editor, adapter, hat, scales):
    ours = edit(
        editor, FRAMES[:1], [0], ref=(hat,), guidance_scale=scales[0],
        image_guidance_scale=scales[1],
    )  # fmt: skip
    stock = make_tiny_pipeline()
    load_ip_adapter(stock, f"{adapter}:0.7")
    stock.scheduler = editor.scheduler
    picture = PIL.Image.open(hat)
    theirs = stock(
        "snow", PIL.Image.fromarray(FRAMES[0]), ip_adapter_image=picture, num_inference_steps=2,
        guidance_scale=scales[0], image_guidance_scale=scales[1],
        generator=torch.Generator().manual_seed(3), output_type="np",
    ).images[0]  # fmt: skip
    assert np.abs(ours[0] - (theirs * 255).round()).max() <= 1


def test_the_picture_and_the_anchors_act_and_batches_do_not(editor, hat, tmp_path):
    write_video(make_frames(1, 40, 48, seed=4), tmp_path / "other.png")
    result = edit(editor, FRAMES, [1], ref=(hat,), frame_batch_size=2)
    assert np.abs(result.astype(int) - edit(editor, FRAMES, [1], ref=(hat,))).max() <= 1
    assert not np.array_equal(result, edit(editor, FRAMES, [1], ref=(tmp_path / "other.png",)))
    alone = edit(editor, FRAMES, [1], ref=(hat,), anchor_strength=0)
    assert not np.array_equal(result[0], alone[0])


def test_one_picture_and_one_adapter_go_together(editor, hat):
    with pytest.raises(SettingsError, match="takes one picture, but --ref has 2"):
        edit(editor, FRAMES, [0], ref=(hat, hat))
    with pytest.raises(SettingsError, match="--ref has 0"):
        edit(editor, FRAMES, [0])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.safetensors", "no such file"),
        ("adapter.bin", "only .safetensors"),
        ("nobody/gone/models/a.safetensors", "hf download nobody/gone"),
    ],
)
def test_missing_weights_are_one_line(name, words, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=words) as caught:
        load_ip_adapter(make_tiny_pipeline(), name)
    assert "\n" not in str(caught.value)
