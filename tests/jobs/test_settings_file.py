"""Settings in a file: what is written is read again, mistakes are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairy.errors import OutputExistsError, SettingsError
from fairy.jobs.settings_file import read_settings, save_settings
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
