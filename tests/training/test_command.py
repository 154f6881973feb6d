"""`python -m fairy.training`: options reach the run, mistakes end in one line."""

from __future__ import annotations

from pathlib import Path

import typer
from typer.testing import CliRunner

from fairy.errors import SettingsError
from fairy.training.command import train_command

APP = typer.Typer()
APP.command()(train_command)


def test_options_reach_the_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        APP, ["tiny-test", "-o", str(tmp_path), "--max-steps", "2", "--set", "batch_size=1"]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "checkpoint-000002" / "state.json").is_file()


def test_mistake_is_a_settings_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(APP, ["tiny-test", "-o", str(tmp_path), "--set", "colour=red"])
    assert isinstance(result.exception, SettingsError)
