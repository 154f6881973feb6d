"""Widgets for settings, made from their records in `fairy.settings`, and back to settings.

Tests: tests/app/test_widgets.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import gradio as gr

from fairy.options import OptionField, options_of
from fairy.settings import GROUPS, Compute, EditConfig

# Whoever starts the page chooses the model, and names files of the server; users upload theirs
OF_THE_SERVER = (
    {field.name for field in options_of(Compute)}
    | {
        field.name
        for field in options_of(EditConfig)
        if field.option.file or "Path" in str(field.type)
    }
    | {"c2pa_no_prompt"}
)


def page_fields() -> list[OptionField]:
    """Return the settings that users of the page choose, by group."""
    fields = [field for field in options_of(EditConfig) if field.name not in OF_THE_SERVER]
    return sorted(fields, key=lambda field: GROUPS.index(field.option.group))


def grouped(fields: Sequence[OptionField]) -> list[tuple[str, list[OptionField]]]:
    """Return fields, which are sorted by group, as (group, its fields)."""
    return [(name, list(some)) for name, some in groupby(fields, lambda one: one.option.group)]


def widget(field: OptionField) -> Any:
    """Return the component for a setting: its type, range, choices and help come from the record.

    An empty box leaves the setting at its default, which is shown in it.
    """
    option, default = field.option, field.default
    said = {"label": field.name.replace("_", " ").capitalize(), "info": option.help}
    if field.plain_type is bool:
        return gr.Checkbox(value=default, **said)
    if option.choices:
        unset = [(option.unset or "default", "")] if default is None else []
        choices = unset + [(name, name) for name in option.choices]
        return gr.Dropdown(choices, value=default or "", **said)
    if _is_slider(field):
        return gr.Slider(option.min, option.max, value=default, step=0.05, **said)
    shown = option.unset if default is None else _typed(default)
    return gr.Textbox(placeholder=shown or option.metavar or "", **said)


def _is_slider(field: OptionField) -> bool:
    low, high = field.option.min, field.option.max
    return field.plain_type is float and None not in (field.default, low, high)


def chosen(fields: Sequence[OptionField], values: Sequence[Any]) -> dict[str, Any]:
    """Return the settings that differ from their default, checked.

    Raises:
        SettingsError: a value is not allowed.
    """
    given = {
        field.name: value
        for field, value in zip(fields, values, strict=True)
        if value is not None and value != "" and value != field.default
    }
    config = EditConfig(**_checkable(given))
    return {
        name: getattr(config, name) for name in given if getattr(config, name) != _default(name)
    }


def shown(fields: Sequence[OptionField], settings: Mapping[str, Any]) -> list[Any]:
    """Return the value of each widget for `settings`."""
    return [_shown(field, settings.get(field.name, field.default)) for field in fields]


def _shown(field: OptionField, value: Any) -> Any:
    """Return a setting's value as its widget takes it."""
    if field.plain_type is bool or _is_slider(field):
        return value
    if field.option.choices:
        return value or ""
    return "" if value == field.default else _typed(value)


def _typed(value: Any) -> str:
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _default(name: str) -> Any:
    return next(field.default for field in options_of(EditConfig) if field.name == name)


def _checkable(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with a mask if they shape one, which the page adds later."""
    shaping = {"mask_grow", "mask_feather", "mask_invert"} & given.keys()
    return {**given, "mask": "drawn.png"} if shaping else dict(given)
