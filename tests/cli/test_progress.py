"""Progress as it is shown: on a terminal, and as plain lines."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from fairy.cli.progress import _as_lines, clip_progress, edit_progress


def terminal(width: int = 140) -> tuple[io.StringIO, Console]:
    """Return a terminal of so many columns, and what is shown on it."""
    shown = io.StringIO()
    return shown, Console(file=shown, force_terminal=True, width=width)


def test_terminal_shows_label_stage_and_frames():
    shown, console = terminal()
    with edit_progress(console, "clip.mp4: make\nit [red]") as progress:
        progress.stage("frames")
        progress(100, 200)
    last = shown.getvalue().rsplit("clip.mp4: make it [red]", 1)[1]
    assert "frames, 100 of 200" in last


def test_on_a_narrow_terminal_the_label_is_shortened_and_nothing_moves():
    shown, console = terminal(width=80)
    with edit_progress(console, "a_clip_with_a_long_name.mp4: make it night") as progress:
        progress.stage("frames")
        progress(0, 200)
        time.sleep(0.2)
        progress(100, 200)
        time.sleep(0.2)
    drawn = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue()))
    lines = [line for line in drawn if line.strip()]
    assert all(len(line) <= 80 and line.startswith("a_clip_") and "… " in line for line in lines)
    assert "starting" in lines[0] and "0 of 200" in "".join(lines)
    assert re.search(r"100 of 200, [\d.]+ frames/s, 0:00:\d\d left", lines[-1])
    places = {re.search(r"(starting|frames, )", line).start() for line in lines}
    assert len(places) == 1


def test_the_bar_leaves_the_terminal_to_what_comes_after():
    shown, console = terminal()
    with edit_progress(console, "clip.mp4"):
        pass
    # The line is erased, and the cursor is shown again
    assert shown.getvalue().endswith("\x1b[2K") and "\x1b[?25h" in shown.getvalue()


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
