"""The pace of an edit: what counts, and how the time left counts down."""

from __future__ import annotations

import pytest

from fairy.jobs.pace import EditProgress


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
