"""Recipes: a YAML file (shipped in `recipes/`, or the user's own) -> TrainConfig.

A recipe's keys are `TrainConfig`'s fields, nothing else. Tests: tests/training/test_recipe.py.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from fairy.errors import SettingsError
from fairy.training.config import TrainConfig

RECIPES = Path(__file__).parent / "recipes"


def recipe_names() -> list[str]:
    """Return the shipped recipes' names, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name: str | Path, overrides: Mapping[str, Any]) -> TrainConfig:
    """Read a recipe and put `overrides` over it.

    Args:
        name: a shipped recipe's name ("mini-base") or the path of a YAML file.
        overrides: `TrainConfig` fields; a None leaves the recipe's own value.

    Raises:
        SettingsError: unknown recipe or key, or a value of the wrong kind.
    """
    values = recipe_settings(name)
    values.update({key: value for key, value in overrides.items() if value is not None})
    hints = get_type_hints(TrainConfig)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        known = ", ".join(sorted(hints))
        raise SettingsError(f"recipe {name}: unknown setting {unknown[0]!r}; known are {known}")
    required = {f.name for f in dataclasses.fields(TrainConfig) if f.default is dataclasses.MISSING}
    for key in sorted(required - set(values)):
        raise SettingsError(f"recipe {name}: {key} is missing; set it there or on the command line")
    return TrainConfig(**{key: _convert(key, value, hints[key]) for key, value in values.items()})


def recipe_settings(name: str | Path) -> dict[str, Any]:
    """Return what a recipe sets, as it is written there."""
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
            raise SettingsError(f"--set {setting}: write it as key=value")
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
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from error


def _convert(key: str, value: Any, hint: Any) -> Any:
    """Give a YAML value the type of its field: lists become tuples, "1e-3" a float."""
    if get_origin(hint) in (Union, types.UnionType):
        if value is None:
            return None
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) is tuple:
        return _convert_tuple(key, value, get_args(hint))
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if hint is float and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            raise SettingsError(f"{key} is {value!r}: it must be a number") from None
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise SettingsError(f"{key} is {value!r}: it must be of type {hint.__name__}")
    return value


def _convert_tuple(key: str, value: Any, items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Convert a list for `tuple[X, ...]` (any length) or `tuple[X, Y]` (just that many)."""
    if not isinstance(value, (list, tuple)):
        raise SettingsError(f"{key} is {value!r}: it must be a list")
    if items[-1] is not Ellipsis and len(items) != len(value):
        raise SettingsError(f"{key} is {value!r}: it must have {len(items)} entries")
    hints = [items[0]] * len(value) if items[-1] is Ellipsis else items
    return tuple(_convert(key, item, hint) for item, hint in zip(value, hints, strict=True))
