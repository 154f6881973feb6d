"""Widgets from the settings' records, and back."""

from __future__ import annotations

import gradio as gr
import pytest

from fairy.app.widgets import OF_THE_SERVER, chosen, page_fields, shown, widget
from fairy.errors import SettingsError
from fairy.options import options_of
from fairy.settings import EditConfig

FIELDS = page_fields()


def kind(name: str) -> type:
    return type(widget(next(field for field in FIELDS if field.name == name)))


def test_every_setting_is_on_the_page_or_the_servers():
    names = {field.name for field in options_of(EditConfig)}
    assert {field.name for field in FIELDS} == names - OF_THE_SERVER


def test_no_setting_on_the_page_names_a_file_of_the_server():
    assert {
        "mask",
        "keyframe",
        "schedule",
        "shots",
        "ref",
        "c2pa",
        "model",
        "lora",
    } <= OF_THE_SERVER
    assert not [field.name for field in FIELDS if "Path" in str(field.type)]


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("balance", gr.Checkbox),
        ("quality", gr.Dropdown),
        ("strength", gr.Slider),
        ("num_anchors", gr.Textbox),
    ],
)
def test_the_record_says_which_widget(name: str, component: type):
    assert kind(name) is component


def test_untouched_widgets_change_nothing():
    assert chosen(FIELDS, [widget(field).value for field in FIELDS]) == {}


def test_settings_come_back_from_their_widgets():
    settings = {
        "num_anchors": 5, "strength": 0.5, "codec": "hevc", "guidance_interval": (0.2, 0.8),
        "region": (1, 2, 30, 40), "keep_size": False, "start_s": 1.5, "mask_feather": 4,
    }  # fmt: skip
    assert chosen(FIELDS, shown(FIELDS, settings)) == settings


def test_a_wrong_value_is_refused_with_advice():
    values = shown(FIELDS, {"num_anchors": 0})
    with pytest.raises(SettingsError, match="num_anchors is 0: it must be at least 1"):
        chosen(FIELDS, values)
