"""Progress as it is shown: on a terminal, and as plain lines."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from fairy.cli.progress import EditProgress, _as_lines, clip_progress, edit_progress


class Clock:
    """Seconds that a test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> EditProgress:
    return EditProgress(clock)


def run(progress: EditProgress, clock: Clock, frames: range, seconds: float, total: int) -> None:
    """Report batches of 4 frames, each after `seconds`."""
    for first in frames[::4]:
        clock.now_s += seconds
        for done in range(first + 1, first + 5):
            progress(done, total)


def test_anchors_and_compiling_are_not_in_the_pace(progress: EditProgress, clock: Clock):
    progress(0, 40)
    progress.stage("anchors")
    clock.now_s += 50
    progress.stage("compiling")
    clock.now_s += 60
    for done in range(1, 5):
        progress(done, 40)
    progress.stage("frames")
    assert progress.frames_per_second is None
    run(progress, clock, range(4, 12), 2.0, 40)
    assert progress.frames_per_second == pytest.approx(2.0)


def test_frames_of_an_earlier_run_are_not_in_the_pace(progress: EditProgress, clock: Clock):
    progress(92, 200)
    progress.stage("frames")
    run(progress, clock, range(92, 100), 2.0, 200)
    assert progress.frames_per_second == pytest.approx(2.0)


def test_time_left_counts_down_evenly_with_even_batches(progress: EditProgress, clock: Clock):
    progress(0, 40)
    progress.stage("frames")
    run(progress, clock, range(8), 2.0, 40)
    left = []
    for _ in range(16):
        clock.now_s += 0.5
        left.append(progress.seconds_left)
        if clock.now_s % 2 == 0:
            for done in range(progress.done + 1, progress.done + 5):
                progress(done, 40)
    # 32 frames at 2 a second, half a second later
    assert left == pytest.approx([16 - 0.5 * n for n in range(1, 17)])


def test_stage_frames_speed_and_time_left_are_in_the_line(progress: EditProgress, clock: Clock):
    progress.stage("reading")
    assert progress.line == "reading"
    progress.stage("frames")
    progress(0, 40)
    run(progress, clock, range(4), 2.0, 40)
    assert progress.line == "frames, 4 of 40, 2.00 frames/s, 0:00:18 left"
    progress.stage("compiling")
    assert progress.line.startswith("compiling, about a minute")


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
