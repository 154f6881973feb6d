"""What of an editor learns, and which models can be finetuned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairy.errors import ModelError, SettingsError
from fairy.training.model.editor_parts import load_editor
from tests.training.conftest import MakeConfig


def trained(module: torch.nn.Module) -> list[str]:
    return [name for name, weight in module.named_parameters() if weight.requires_grad]


def test_the_unet_alone_is_finetuned(finetune_config: MakeConfig, tmp_path: Path) -> None:
    pipeline = load_editor(finetune_config(tmp_path)).pipeline
    assert len(trained(pipeline.unet)) == len(list(pipeline.unet.parameters()))
    assert trained(pipeline.vae) == trained(pipeline.text_encoder) == []


def test_a_lora_alone_is_finetuned_in_every_attention(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    pipeline = load_editor(finetune_config(tmp_path, lora_rank=2)).pipeline
    names = trained(pipeline.unet)
    assert all(".lora_" in name for name in names)
    assert {name.split(".lora_")[0].split(".")[-1] for name in names} == {
        "to_q",
        "to_k",
        "to_v",
        "0",
    }
    assert any(".attn1." in name for name in names) and any(".attn2." in name for name in names)


def test_sizes_off_the_models_grid_are_named(finetune_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"size 17x16 does not fit model.*multiples of 2"):
        load_editor(finetune_config(tmp_path, sizes=[[17, 16]]))


def test_unknown_model_is_named(finetune_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model"):
        load_editor(finetune_config(tmp_path, model="nothing"))
