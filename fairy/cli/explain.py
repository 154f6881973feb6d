"""`fairy train --explain RECIPE`: every setting with its value and meaning.

The meanings are `TrainConfig`'s docstring. Tests: tests/cli/test_explain.py.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

from rich.table import Table

from fairy.training.config import TrainConfig
from fairy.training.recipe import recipe_settings

# An entry of "Attributes:": a name, a colon, text that may go on in lines indented further.
ATTRIBUTE = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def setting_meanings() -> dict[str, str]:
    """Return what each setting means, by name, in the order of `TrainConfig`."""
    text = inspect.getdoc(TrainConfig) or ""
    return {name: " ".join(words.split()) for name, words in ATTRIBUTE.findall(text)}


def explain(recipe: str) -> Table:
    """Return a table of all settings of a recipe: first those that it sets itself."""
    own = recipe_settings(recipe)
    meanings = setting_meanings()
    table = Table(title=f"recipe {recipe}", title_justify="left")
    for heading in ("setting", "value", "meaning"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "setting")
    for name in sorted(meanings, key=lambda name: name not in own):
        value = own[name] if name in own else f"{_default(name)} (default)"
        table.add_row(name, str(value), meanings[name], style="bold" if name in own else "")
    return table


def _default(name: str) -> Any:
    default = {field.name: field.default for field in dataclasses.fields(TrainConfig)}[name]
    return "none" if default in (None, dataclasses.MISSING) else default
