"""Recipes: shipped ones load, overrides win, mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairy.errors import SettingsError
from fairy.training.recipe import load_recipe, parse_settings, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipe_loads(name: str, tmp_path: Path) -> None:
    config = load_recipe(name, {"output": tmp_path, "autoencoder": tmp_path})
    assert config.output == tmp_path


def test_override_wins_over_recipe(tmp_path: Path) -> None:
    assert load_recipe("tiny-test", {"output": tmp_path, "max_steps": 77}).max_steps == 77


def test_none_leaves_recipe_value(tmp_path: Path) -> None:
    assert load_recipe("tiny-test", {"output": tmp_path, "max_steps": None}).max_steps == 4


def test_user_recipe_file_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("stage: autoencoder\nlearning_rate: 1e-3\nsizes: [[64, 96]]\n")
    config = load_recipe(path, {"output": tmp_path})
    assert (config.learning_rate, config.sizes) == (0.001, ((64, 96),))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"learnig_rate": 1.0}, "unknown setting 'learnig_rate'"),
        ({"max_steps": "many"}, "max_steps is 'many'"),
        ({"learning_rate": [1]}, "learning_rate is .1.*number"),
        ({"sizes": [[64]]}, "each a list of 2, each a whole number"),
        ({"sizes": [[63, 64]]}, "multiples of 2"),
        ({"affine_scale": 1.05}, "affine_scale is 1.05: give a list of 2, each a number"),
        ({"stage": "upscaler"}, "stage 'upscaler' is unknown"),
        ({"stage": "editor"}, "needs a trained autoencoder"),
        ({"draws_per_pair": 3}, "must divide batch_size"),
    ],
)
def test_mistake_is_named(overrides: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        load_recipe("tiny-test", {"output": tmp_path, **overrides})


def test_unknown_recipe_lists_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="mini-autoencoder, mini-base, mini-equivariant"):
        load_recipe("maxi", {"output": tmp_path})


def test_setting_without_value_is_named() -> None:
    with pytest.raises(SettingsError, match="key=value"):
        parse_settings(["seed"])


def test_settings_are_yaml() -> None:
    assert parse_settings(["seed=3", "sizes=[[64, 64]]"]) == {"seed": 3, "sizes": [[64, 64]]}


def test_equivariant_recipes_have_the_papers_ranges(tmp_path: Path) -> None:
    for name in ("mini-equivariant", "mini-equivariant-clips", "instruct-pix2pix-equivariant"):
        config = load_recipe(name, {"output": tmp_path})
        assert (config.affine_rotation_deg, config.affine_shear_deg) == (5, 5)
        assert (config.affine_translation, config.affine_scale) == (0.05, (0.95, 1.05))
        assert config.resize_scale == 288 / 256


def test_the_recipe_for_large_models_is_the_papers(tmp_path: Path) -> None:
    config = load_recipe("instruct-pix2pix-equivariant", {"output": tmp_path})
    assert (config.max_steps, config.global_batch_size, config.sizes) == (
        50_000,
        128,
        ((256, 256),),
    )
