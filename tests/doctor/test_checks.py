"""The doctor names what would run, and what is missing with the way to get it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from fairy.doctor.checks import bundled_model, examine


def test_doctor_looks_at_everything_an_edit_needs():
    names = {check.name for check in examine()}
    assert {"python", "libraries", "device", "triton", "containers", "mini", "memory"} <= names


def test_missing_model_is_named(tmp_path: Path):
    check = bundled_model(tmp_path)
    assert check.state == "missing"
    assert str(tmp_path) in check.text


def test_missing_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "accelerate" else find_spec(name)
    )
    check = next(check for check in examine() if check.name == "[train]")
    assert check.state == "note"
    assert check.text == "no accelerate: pip install 'fairy-video[train]'"
