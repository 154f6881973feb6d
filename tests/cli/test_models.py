"""`fairy models` lists what there is to edit with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fairy.cli.app import app
from fairy.models import catalogue
from fairy.models.catalogue import KNOWN


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = catalogue.scan_cache_dir
    monkeypatch.setattr(catalogue, "scan_cache_dir", lambda: scan(tmp_path / "none"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def test_every_known_model_is_listed_with_how_to_get_it():
    result = run()
    assert result.exit_code == 0
    for model in KNOWN:
        assert f"{model.name}: " in result.stdout
        assert model.licence in result.stdout
    assert "hf download timbrooks/instruct-pix2pix (5.5 GB)" in result.stdout


def test_the_edits_of_a_model_are_listed_and_weak_ones_marked(tmp_path: Path):
    edits = [
        {"name": "night", "instruction": "make it night", "steps": 2, "right": 0.99},
        {"name": "reshape", "instruction": "turn it into a star", "steps": 6, "right": 0.05},
    ]
    (tmp_path / "fairy.json").write_text(json.dumps({"edits": edits}))
    (tmp_path / "model_index.json").write_text("{}")
    lines = run(tmp_path).stdout.splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ['"make', "it", 'night"', "2"],
        ['"turn', "it", "into", "a", 'star"', "6", "weak"],
    ]


def test_mini_lists_all_its_edits():
    assert run("mini").stdout.count('"') == 2 * 27


@pytest.mark.parametrize("name", ["mimi", "timbrooks/instruct-pix2pix"])
def test_a_model_without_a_list_says_so(name: str):
    result = run(name)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"fairy: model {name}: ")
