"""The experiment on positions: exact motion, numbers that see freezing, the whole command."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks.quality import positions
from examples.tiny_editor import make_tiny_editor


@pytest.fixture(scope="module")
def clips() -> dict[str, positions.MovingClip]:
    return {clip.name: clip for clip in positions.make_clips(4, (96, 128))}


def test_the_camera_moves_as_said(clips):
    fast = clips["fast"]
    assert fast.step_px == 5
    assert (fast.frames[1][:, :-5] == fast.frames[0][:, 5:]).all()
    assert (clips["still"].frames[0] == clips["still"].frames[3]).all()


def test_the_source_itself_is_steady_and_keeps_its_motion(clips):
    result = positions.scores(clips["fast"], clips["fast"].frames, 1)
    assert result["warp_error_x1000"] < 1e-3 and result["change"] == 0
    assert result["motion_kept"] == pytest.approx(1, abs=0.1)


def test_a_frozen_result_keeps_no_motion(clips):
    frozen = clips["fast"].frames[[0, 0, 0, 0]]
    assert positions.scores(clips["fast"], frozen, 1)["motion_kept"] == pytest.approx(0, abs=0.1)


def test_the_command_writes_the_table_and_the_sheet(tmp_path, monkeypatch, capsys):
    make_tiny_editor("kontext").save_pretrained(tmp_path / "model")
    out = tmp_path / "out"
    command = ["positions.py", tmp_path / "model", "--frames", "3", "--size", "64", "64"]
    command += ["--anchors", "2", "--steps", "1", "--device", "cpu", "--out", out]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    make_clips = positions.make_clips
    monkeypatch.setattr(positions, "make_clips", lambda *given: list(make_clips(*given))[:1])
    positions.main()
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    # Each frame alone, and four positions balanced or not
    assert len(document["rows"]) == 9
    assert (out / "positions.png").exists()
