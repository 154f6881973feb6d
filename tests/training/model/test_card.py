"""The model card of a run."""

from __future__ import annotations

from pathlib import Path

import yaml

from fairy.training.model.card import changed_settings, model_card
from fairy.training.recipe import load_recipe


def card(recipe: str, tmp_path: Path, **settings: object) -> str:
    config = load_recipe(recipe, {"output": tmp_path, "autoencoder": tmp_path, **settings})
    return model_card(config, 7, 16, {"loss": 0.123456})


def test_front_matter_is_yaml(tmp_path: Path) -> None:
    front = yaml.safe_load(card("mini-equivariant", tmp_path).split("---")[1])
    assert front["library_name"] == "diffusers"


def test_steps_metrics_and_settings_stand_in_it(tmp_path: Path) -> None:
    text = card("mini-equivariant", tmp_path, max_steps=9)
    assert "7 of 9 steps of 16 images" in text
    assert "| loss | 0.1235 |" in text
    assert "| affine_scale | 0.95, 1.05 |" in text
    assert "| sizes | 128x128, 192x192, 144x256, 256x144 |" in text


def test_limits_of_equivariant_finetuning_are_said_where_they_hold(tmp_path: Path) -> None:
    assert "becomes static" in card("mini-equivariant", tmp_path)
    assert "becomes static" not in card("mini-base", tmp_path)


def test_folders_of_this_machine_are_not_told(tmp_path: Path) -> None:
    data = tmp_path / "pairs"
    text = card("instruct-pix2pix-equivariant", tmp_path / "run", data=str(data), lora_rank=4)
    assert str(tmp_path) not in text
    assert "a LoRA of rank 4" in text


def test_cards_of_finetuned_models_leave_out_sizes_of_new_ones(tmp_path: Path) -> None:
    config = load_recipe("mini-equivariant", {"output": tmp_path, "text_width": 64})
    assert "text_width" not in changed_settings(config)
