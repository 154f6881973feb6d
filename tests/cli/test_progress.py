"""Progress as it is shown: on a terminal, and as plain lines."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from fairy.cli.progress import _as_lines, clip_progress, edit_progress


def test_terminal_shows_label_stage_and_frames():
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=140)
    with edit_progress(console, "clip.mp4: make\nit [red]") as progress:
        progress.stage("frames")
        progress(100, 200)
    last = shown.getvalue().rsplit("clip.mp4: make it [red]", 1)[1]
    assert "frames, 100 of 200" in last


def test_without_a_terminal_it_is_a_line_now_and_then_not_for_each_frame():
    shown = io.StringIO()
    with _as_lines(Console(file=shown), "clip.mp4", first_s=0.05, every_s=1000) as progress:
        progress.stage("anchors")
        until = time.monotonic() + 10
        while not shown.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
        progress.stage("frames")
        for done in range(100):
            progress(done, 100)
    assert shown.getvalue() == "fairy: clip.mp4: anchors\n"


def test_clips_without_a_terminal_are_a_line_each(capsys: pytest.CaptureFixture[str]):
    with clip_progress("quick suite") as progress:
        progress(0, 2)
        progress(1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"fairy: quick suite: {done} of 2 clips" for done in range(2)]
