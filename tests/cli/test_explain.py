"""Every setting is explained."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest
from rich.console import Console

from fairy.cli.explain import explain
from fairy.training.config import TrainConfig
from fairy.training.recipe import recipe_names, recipe_settings


@pytest.mark.parametrize("recipe", recipe_names())
def test_a_recipe_is_explained_whole_its_own_settings_first(recipe: str) -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(explain(recipe))
    names = re.findall(r"^│ (\w+)", console.export_text(), re.MULTILINE)
    own = set(recipe_settings(recipe))
    assert sorted(names) == sorted(field.name for field in dataclasses.fields(TrainConfig))
    assert set(names[: len(own)]) == own
