"""Node inputs from Fairy's settings: each option is declared once, in `fairy/settings.py`."""

from __future__ import annotations

from typing import Any, get_origin

from fairy.options import OptionField, options_of
from fairy.settings import EditConfig

from .host import io

# In the order of the node. Files of the command line are sockets or other nodes here
EDIT = (
    "num_inference_steps",
    "guidance_scale",
    "image_guidance_scale",
    "negative_prompt",
    "num_anchors",
    "anchor_strength",
    "seed",
    "size",
    "quality",
    "enlarge",
)
VIDEO_ONLY = ("interpolate",)
# ComfyUI's number widgets need bounds
LARGEST = 2**31 - 1
LARGEST_SEED = 2**63 - 1


def fields(names: tuple[str, ...]) -> list[OptionField]:
    """Return the declarations of these settings, in this order."""
    known = {field.name: field for field in options_of(EditConfig)}
    return [known[name] for name in names]


def widgets(names: tuple[str, ...]) -> list[Any]:
    """Return the inputs of these settings."""
    return [widget(field) for field in fields(names)]


def widget(field: OptionField) -> Any:
    """Return the input of one setting; a number below the smallest means "unset"."""
    option, kind = field.option, field.plain_type
    tooltip = option.help
    if option.choices:
        return io.Combo.Input(
            field.name, options=list(option.choices), default=field.default, tooltip=tooltip
        )
    if kind is bool:
        return io.Boolean.Input(field.name, default=field.default, tooltip=tooltip)
    if kind is str:
        return io.String.Input(field.name, default=field.default or "", tooltip=tooltip)
    if kind not in (int, float) or get_origin(kind) is not None:
        raise TypeError(f"{field.name} is {kind}: there is no widget for it")
    default, least = field.default, 0 if field.name == "seed" else option.min
    if default is None:
        default = least = unset_value(field)
        tooltip = f"{tooltip} {default}: {option.unset}."
    if kind is int:
        most = LARGEST_SEED if field.name == "seed" else LARGEST
        return io.Int.Input(
            field.name,
            default=default,
            min=int(least),
            max=int(min(option.max or LARGEST, most)) if field.name != "seed" else most,
            tooltip=tooltip,
            control_after_generate=field.name == "seed" or None,
        )
    return io.Float.Input(
        field.name, default=default, min=least, max=100.0, step=0.05, tooltip=tooltip
    )


def unset_value(field: OptionField) -> float:
    """Return the number that stands for None: one below the smallest, as 0 for steps."""
    return (field.option.min or 0) - 1


def settings(given: dict[str, Any], **others: Any) -> EditConfig:
    """Return the settings of a node's inputs, and of `others`, which are settings as they are.

    Raises:
        SettingsError: in one line, what is allowed.
    """
    values = dict(others)
    for field in fields(tuple(given)):
        value = given[field.name]
        is_unset = field.default is None and value == unset_value(field)
        values[field.name] = None if is_unset else value
    return EditConfig(**values)
