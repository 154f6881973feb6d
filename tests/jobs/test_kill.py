"""Killed at any moment, the same command finishes, and the result is whole.

FAIRY_KILLS says how many moments are tried (`make test-full`: 20).
"""

from __future__ import annotations

import logging
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from fairy.media.read import probe, read_frames, read_video
from fairy.media.write import write_video
from tests.jobs.worker import start
from tests.tiny import make_frames

logger = logging.getLogger(__name__)

NUM_FRAMES = 14
NUM_KILLS = int(os.environ.get("FAIRY_KILLS", "4"))
OPTIONS = ["--size", 32, "--steps", 1, "--frame-batch-size", 2, "--shots", "off"]

pytestmark = [
    pytest.mark.forks,
    pytest.mark.timeout(600 + 120 * NUM_KILLS),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(make_frames(NUM_FRAMES, 32, 48), path, fps=10)
    return path


def command(clip: Path, out: Path) -> list[object]:
    return ["edit", clip, "make it snow", "-o", out, *OPTIONS]


def finish(clip: Path, out: Path) -> str:
    """Run the command to its end; return what it printed."""
    printed = out.with_suffix(".txt")
    process = start(command(clip, out), printed)
    process.join()
    assert process.exitcode == 0, printed.read_text()
    return printed.read_text()


@pytest.fixture(scope="module")
def undisturbed(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """An edit that nobody stopped, and the seconds it took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    # The first process waits for the server
    finish(clip, folder / "first.mp4")
    began = time.monotonic()
    finish(clip, folder / "out.mp4")
    return folder / "out.mp4", time.monotonic() - began


def test_killed_at_random_moments(clip: Path, undisturbed: tuple[Path, float], tmp_path: Path):
    expected, seconds = undisturbed
    draw = random.Random(0)
    num_kept = 0
    for attempt in range(NUM_KILLS):
        out = tmp_path / f"out{attempt}.mp4"
        process = start(command(clip, out), tmp_path / "killed.txt")
        time.sleep(draw.uniform(0, 1.1 * seconds))
        process.kill()
        process.join()
        num_kept += any(tmp_path.glob("*.fairy/frames-*"))
        if not out.exists() or any(tmp_path.glob("*.fairy")):
            finish(clip, out)
        assert_whole(out, expected)
        out.unlink()
    assert {path.suffix for path in tmp_path.iterdir()} <= {".txt"}
    logger.info("%d kills, %d of them with edited frames kept", NUM_KILLS, num_kept)


def assert_whole(out: Path, expected: Path) -> None:
    """Every frame at its time, its picture equal but for what one level does to the encoder."""
    assert [f.time_s for f in read_frames(out)] == [f.time_s for f in read_frames(expected)]
    frames = read_video(expected).astype(int)
    difference = np.abs(read_video(out) - frames).mean((1, 2, 3))
    assert (difference <= 1).all()
    # Another frame would not pass for this one
    assert (np.abs(frames[1:] - frames[:-1]).mean((1, 2, 3)) > 2).all()


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_edit_with_its_code_and_says_how_to_continue(
    clip: Path, undisturbed: tuple[Path, float], tmp_path: Path, number: int, exit_code: int
):
    out, printed = tmp_path / "out.mp4", tmp_path / "printed.txt"
    process = start([*command(clip, out), "--frame-batch-size", 1], printed)
    while not any(tmp_path.glob("*.fairy/frames-*.npy")):
        assert process.is_alive(), printed.read_text()
        time.sleep(0.01)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == exit_code
    assert "frames are done and kept in" in printed.read_text()
    assert printed.read_text().endswith("out.mp4.fairy: run the same command to continue\n")
    assert {path.name for path in tmp_path.iterdir()} == {printed.name, "out.mp4.fairy"}
    finish(clip, out)
    assert_whole(out, undisturbed[0])


def test_a_second_process_on_the_same_output_is_refused(clip: Path, tmp_path: Path):
    out, printed = tmp_path / "out.mp4", tmp_path / "printed.txt"
    first = start([*command(clip, out), "--frame-batch-size", 1], tmp_path / "first.txt")
    while not (tmp_path / "out.mp4.fairy" / "manifest.json").exists():
        assert first.is_alive(), (tmp_path / "first.txt").read_text()
        time.sleep(0.01)
    second = start(command(clip, out), printed)
    second.join()
    first.join()
    assert second.exitcode == 2
    assert "another process is writing it" in printed.read_text()
    assert first.exitcode == 0
    assert probe(out).num_frames == NUM_FRAMES
