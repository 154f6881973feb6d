"""`fairy train`: options reach the run, mistakes end in one line."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from fairy.cli.app import app
from fairy.cli.train import train
from fairy.errors import SettingsError
from fairy.training.run.contact_sheet import CAPTION_HEIGHT
from tests.training.conftest import MakeConfig

APP = typer.Typer()
APP.command()(train)


def test_options_reach_the_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        APP, ["tiny-test", "-o", str(tmp_path), "--max-steps", "2", "--set", "batch_size=1"]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "checkpoint-000002" / "state.json").is_file()


def test_without_a_terminal_a_run_tells_its_steps(tmp_path: Path) -> None:
    words = ["tiny-test", "-o", str(tmp_path), "--max-steps", "1", "--set", "batch_size=1"]
    result = CliRunner().invoke(APP, [*words, "--set", "validate_every=1"])
    assert "fairy: step 1: validation" in result.stderr
    assert result.stderr.endswith(f"fairy: wrote {tmp_path / 'autoencoder'}\n")


def test_of_several_processes_only_the_first_tells_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    words = ["tiny-test", "-o", str(tmp_path), "--max-steps", "1", "--set", "batch_size=1"]
    assert CliRunner().invoke(APP, words).stderr == ""


def test_what_is_logged_is_as_before_after_a_run(tmp_path: Path) -> None:
    logger = logging.getLogger("fairy")
    before = logger.level, list(logger.handlers)
    words = ["tiny-test", "-o", str(tmp_path), "--max-steps", "1", "--set", "batch_size=1"]
    assert CliRunner().invoke(APP, words).exit_code == 0
    assert (logger.level, logger.handlers) == before


def test_mistake_is_a_settings_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(APP, ["tiny-test", "-o", str(tmp_path), "--set", "colour=red"])
    assert isinstance(result.exception, SettingsError)


def test_explain_names_every_setting_and_trains_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(APP, ["mini-equivariant", "-o", str(tmp_path / "run"), "--explain"])
    assert result.exit_code == 0, result.output
    assert "affine_rotation_deg" in result.output and "max_loss_rise" in result.output
    assert not (tmp_path / "run").exists()


def test_preview_draws_the_first_steps_pictures(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    config = finetune_config(tmp_path)
    words = [
        "mini-equivariant",
        "--from",
        str(config.model),
        "--data",
        str(config.data),
        "--preview",
    ]
    settings = ["sizes=[[16,16]]", "validation_size=[16,16]", "batch_size=3", "num_validation=1"]
    settings += ["channel_weight_power=0", "own_guess_share=0"]
    options = [word for setting in settings for word in ("--set", setting)]
    result = CliRunner().invoke(APP, [*words, "-o", str(tmp_path / "run"), *options])
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "run" / "preview.png") as sheet:
        assert sheet.size == (2 * 16, 3 * (16 + CAPTION_HEIGHT))


def test_runs_have_a_folder_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(APP, ["tiny-test", "--max-steps", "1", "--set", "batch_size=1"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "runs" / "tiny-test" / "autoencoder" / "config.json").is_file()


def test_train_without_its_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    for name in [
        name for name in sys.modules if name.startswith(("fairy.training", "fairy.cli.explain"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    result = CliRunner().invoke(app, ["train", "mini"])
    assert result.exit_code == 2
    assert result.stderr == (
        "fairy: training needs the package accelerate: pip install 'fairy-video[train]'\n"
    )
