"""Read recipes: YAML files (shipped in `recipes/`, or the user's own) -> TrainConfig.

A recipe's keys are the fields of `TrainConfig`. Tests: tests/training/test_recipe.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from fairy.errors import SettingsError
from fairy.options import options_of
from fairy.training.config import TrainConfig

RECIPES = Path(__file__).parent / "recipes"


def recipe_names() -> list[str]:
    """Return the shipped recipes' names, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name: str | Path, overrides: Mapping[str, Any]) -> TrainConfig:
    """Read a recipe and apply `overrides`.

    Args:
        name: a shipped recipe's name ("mini-base") or the path of a YAML file.
        overrides: `TrainConfig` fields; None keeps the recipe's own value.

    Raises:
        SettingsError: the recipe or a key is unknown, or a value has the wrong type.
    """
    values = recipe_settings(name)
    values.update({key: value for key, value in overrides.items() if value is not None})
    fields = {field.name: field for field in options_of(TrainConfig)}
    if unknown := sorted(values.keys() - fields.keys()):
        known = ", ".join(sorted(fields))
        raise SettingsError(f"recipe {name}: unknown setting {unknown[0]!r}; known are {known}")
    required = {key for key, field in fields.items() if field.default is MISSING}
    for key in sorted(required - values.keys()):
        raise SettingsError(f"recipe {name}: {key} is missing; set it there or on the command line")
    return TrainConfig(**values)


def recipe_settings(name: str | Path) -> dict[str, Any]:
    """Return a recipe's settings as written."""
    return _read(_find(name))


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` words of a command line; values are YAML.

    >>> parse_settings(["seed=3", "sizes=[[64, 64]]"])
    {'seed': 3, 'sizes': [[64, 64]]}
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise SettingsError(f"--set {setting}: use key=value")
        values[key.strip()] = _parse_yaml(text, f"--set {setting}")
    return values


def _find(name: str | Path) -> Path:
    shipped = RECIPES / f"{name}.yaml"
    if shipped.is_file():
        return shipped
    if Path(name).is_file():
        return Path(name)
    raise SettingsError(
        f"{name}: no such recipe: use {', '.join(recipe_names())} or the path of a YAML file"
    )


def _read(path: Path) -> dict[str, Any]:
    values = _parse_yaml(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: a recipe is `setting: value` lines")
    return values


def _parse_yaml(text: str, where: str) -> Any:
    # From the extra [train]; `fairy train --help` works without it
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from error
