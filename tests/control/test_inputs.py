"""All files that a mask, key frames, references and a schedule name are inputs of the edit."""

from __future__ import annotations

from pathlib import Path

from fairy.control.inputs import control_inputs
from fairy.settings import EditConfig


def test_every_named_file_is_an_input():
    config = EditConfig(
        mask="m.png",
        keyframes="keys",
        keyframe=("40=a.png", "7=b.png"),
        schedule="s.json",
        ref=("hat.png", "coat.png"),
    )
    assert control_inputs(config) == {
        "mask": Path("m.png"),
        "keyframes": Path("keys"),
        "schedule": Path("s.json"),
        "ref 1": Path("hat.png"),
        "ref 2": Path("coat.png"),
        "keyframe 40": Path("a.png"),
        "keyframe 7": Path("b.png"),
    }


def test_an_edit_of_everything_has_none():
    assert control_inputs(EditConfig()) == {}
