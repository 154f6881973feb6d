"""How long an edit takes, found by a probe."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import fairy.doctor.time_plan
from fairy.cli.app import app
from fairy.cli.doctor import show_time
from fairy.doctor.time_plan import can_measure, measure_time
from fairy.models.defaults import ModelDefaults
from fairy.settings import EditConfig
from tests.tiny import save_tiny_pipeline


class Timed:
    """A session whose anchors and frames move a clock: a second each, and 2 and 3 a step."""

    def __init__(self, editor: TimedEditor, num_steps: int) -> None:
        self._editor, self._num_steps = editor, num_steps
        editor.now_s += 1 + 2 * num_steps
        self.used = self
        self.device = "cpu"

    def __enter__(self) -> Timed:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def edit(self, inputs: list[object]) -> np.ndarray:
        self._editor.now_s += 1 + 3 * self._num_steps
        return np.zeros((1, 32, 32, 3), np.uint8)


class TimedEditor:
    """An editor with a clock of its own."""

    defaults, grid, now_s = ModelDefaults(), 8, 0.0

    def begin(self, prompt: str, anchors: list[object], settings: EditConfig, *, size: object):
        return Timed(self, settings.num_inference_steps or 0)


def test_time_grows_with_steps_anchors_and_frames(monkeypatch: pytest.MonkeyPatch):
    editor = TimedEditor()
    monkeypatch.setattr(fairy.doctor.time_plan, "load_editor", lambda config: editor)
    monkeypatch.setattr(time, "perf_counter", lambda: editor.now_s)
    plan = measure_time((48, 64), EditConfig(size=32, num_inference_steps=10, num_anchors=3))
    assert plan.anchors_s == pytest.approx(3 * (1 + 2 * 10))
    assert plan.frame_s == pytest.approx(1 + 3 * 10)
    assert plan.seconds(100) == pytest.approx(63 + 100 * 31)


def test_a_model_that_is_not_here_is_not_measured():
    assert can_measure(EditConfig(model="mini"))
    assert not can_measure(EditConfig(model="sd15"))
    assert not can_measure(EditConfig(model="nobody/such-a-model"))


def test_the_command_tells_the_time(tmp_path: Path):
    save_tiny_pipeline(tmp_path, size=32, num_inference_steps=2)
    words = ["doctor", "--plan", "64x48", "--model", str(tmp_path), "--device", "cpu"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    assert "time here, measured on cpu just now: " in result.output


def test_the_command_says_that_a_model_is_not_here(capsys: pytest.CaptureFixture[str]):
    show_time(Console(width=200), (48, 64), EditConfig(model="sd15", device="cpu"))
    assert "sd15 is not on this machine" in capsys.readouterr().out
