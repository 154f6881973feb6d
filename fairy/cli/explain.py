"""`fairy train --explain RECIPE`: every setting with its value and meaning.

Tests: tests/cli/test_explain.py.
"""

from __future__ import annotations

from rich.table import Table

from fairy.options import options_of
from fairy.training.config import TrainConfig
from fairy.training.recipe import recipe_settings


def explain(recipe: str) -> Table:
    """Return a table of all settings of a recipe, with those that it sets first."""
    own = recipe_settings(recipe)
    table = Table(title=f"recipe {recipe}", title_justify="left")
    for heading in ("setting", "value", "meaning"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "setting")
    for field in sorted(options_of(TrainConfig), key=lambda field: field.name not in own):
        default = f"{field.default_text or 'none'} (default)"
        value = str(own[field.name]) if field.name in own else default
        style = "bold" if field.name in own else ""
        table.add_row(field.name, value, field.option.help, style=style)
    return table
