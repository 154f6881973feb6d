"""`fairy info`."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from fairy.cli.app import app
from tests.cli.conftest import assert_refused


def test_info_says_what_a_clip_holds(clip: Path):
    result = CliRunner().invoke(app, ["info", str(clip)])
    assert result.exit_code == 0
    assert "64x48" in result.output
    assert "h264" in result.output


def test_info_of_a_missing_clip(tmp_path: Path):
    result = CliRunner().invoke(app, ["info", str(tmp_path / "gone.mp4")])
    assert_refused(result, "gone.mp4: no such file", tmp_path, set())
