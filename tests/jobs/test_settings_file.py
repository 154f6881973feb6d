"""Settings in a file: what is written is read again, mistakes are named."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairy.cli.app import app
from fairy.errors import OutputExistsError, SettingsError
from fairy.jobs.settings_file import command_line, read_settings, save_settings
from fairy.settings import EditConfig

CONFIG = EditConfig(seed=7, guidance_interval=(0.0, 0.5), anchor_indices=(0, 4), codec="hevc")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "f.json"


def test_what_is_saved_is_read_again(path: Path):
    save_settings(CONFIG, path)
    assert EditConfig(**read_settings(path)) == CONFIG


def test_names_of_files_are_saved(path: Path):
    config = EditConfig(keyframes=Path("frames"), c2pa=(Path("my cert.pem"), Path("key.pem")))
    save_settings(config, path)
    assert EditConfig(**read_settings(path)) == config


def test_a_reports_settings_are_read(path: Path):
    path.write_text(json.dumps({"source": "a.mp4", "settings": {"seed": 7, "size": None}}))
    assert read_settings(path) == {"seed": 7, "size": None}


def test_only_the_same_settings_may_be_saved_twice(path: Path):
    save_settings(CONFIG, path)
    save_settings(CONFIG, path)
    with pytest.raises(OutputExistsError, match="use --overwrite or another name"):
        save_settings(EditConfig(), path)
    save_settings(EditConfig(), path, overwrite=True)
    assert EditConfig(**read_settings(path)) == EditConfig()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON: use a file written by --save-settings or --report"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "contains no settings"),
        ('{"sed": 3, "seed": 3, "colour": "red"}', "unknown settings 'colour', 'sed': use "),
        ('{"settings": {"sed": 3}}', "unknown settings 'sed'"),
        ('{"seed": 7.5}', r"f\.json: seed is 7\.5: give a whole number"),
        ('{"guidance_scale": NaN}', "guidance_scale is nan: use 0 or more"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(path: Path, text: str, words: str):
    path.write_text(text)
    with pytest.raises(SettingsError, match=words):
        read_settings(path)


def test_a_missing_file_is_named(path: Path):
    with pytest.raises(SettingsError, match=r"f\.json: cannot be read: No such file"):
        read_settings(path)


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (EditConfig(), []),
        (EditConfig(seed=7, keep_size=False), ["--seed", "7", "--no-keep-size"]),
        (EditConfig(anchor_indices=(0, 4)), ["--anchors", "0,4"]),
        (EditConfig(guidance_interval=(0.0, 0.5)), ["--guidance-interval", "0.0", "0.5"]),
        (EditConfig(lora=("a/b", "c/d:0.5")), ["--lora", "a/b", "--lora", "c/d:0.5"]),
        (EditConfig(c2pa=(Path("my a.pem"), Path("b.pem"))), ["--c2pa", "my a.pem", "b.pem"]),
    ],
)  # fmt: skip
def test_settings_as_a_command_line(config: EditConfig, options: list[str]):
    line = command_line("my clip.mp4", "make it night", "out.mp4", config)
    start = ["fairy", "edit", "my clip.mp4", "make it night", "-o", "out.mp4"]
    assert sorted(shlex.split(line)) == sorted(start + options)
    assert " ".join(options) in " ".join(shlex.split(line))


def test_the_command_line_gives_the_same_settings(tmp_path: Path):
    config = EditConfig(
        seed=7, guidance_interval=(0.0, 0.5), anchor_indices=(0, 4), codec="hevc", strength=0.5,
        region=(1, 2, 30, 40), end_s=2.5, negative_prompt="it's \"dark\"", provenance=False,
    )  # fmt: skip
    saved, absent = tmp_path / "saved.json", str(tmp_path / "no clip.mp4")
    line = command_line(absent, "make it night", str(tmp_path / "out.mp4"), config)
    words = shlex.split(line)[1:]
    result = CliRunner().invoke(app, [*words, "--save-settings", str(saved)])
    assert result.exit_code == 2 and "no clip.mp4" in result.stderr
    assert EditConfig(**read_settings(saved)) == config
