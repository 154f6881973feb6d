"""The scaling table: a row for each number of workers, refused if their files differ."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.speed import scaling


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


def edits(monkeypatch: pytest.MonkeyPatch, contents: list[bytes], seconds: list[float]) -> None:
    """Let `fairy edit` write these files and times, one after another."""
    calls = iter(zip(contents, seconds, strict=True))

    def run(words: list[Any]) -> None:
        content, took_s = next(calls)
        words[words.index("-o") + 1].write_bytes(content)
        report = words[words.index("--report") + 1]
        report.write_text(json.dumps({"seconds": {"total": took_s}}))

    monkeypatch.setattr(scaling, "run", run)


def test_a_row_for_each_number_of_workers(monkeypatch: pytest.MonkeyPatch, clip: Path):
    edits(monkeypatch, [b"a"] * 6, [8.0, 5.0, 4.5, 9.0, 10.0, 10.0])
    rows = scaling.scale(clip, [], [1, 2], 3)
    assert [row["workers"] for row in rows] == [1, 2]
    assert [row["edit_s"] for row in rows] == [9.0, 5.0]
    assert [row["speedup"] for row in rows] == [1.0, 1.6]
    assert (rows[1]["speedup_min"], rows[1]["speedup_max"]) == (1.0, 2.0)


def test_workers_that_make_another_file_have_no_row(monkeypatch: pytest.MonkeyPatch, clip: Path):
    edits(monkeypatch, [b"a", b"b"], [8.0, 5.0])
    with pytest.raises(SystemExit, match="2 workers made another file"):
        scaling.scale(clip, [], [1, 2], 1)


class Turns:
    """Commands that say how long each line took, and write a file."""

    def __init__(self, words: list[Any], seconds: dict[str, list[float]], turns: list[str]):
        self._cluster, self._turns = words[-1], turns
        self._seconds = iter(seconds[self._cluster])
        self._out = words[words.index("-o") + 1]
        self.cpu_s = 0.0

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *error: object) -> None:
        self._out.mkdir()
        (self._out / "0.mp4").write_text("same")

    def seconds_to_line(self) -> float:
        self._turns.append(self._cluster)
        return next(self._seconds)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose turn it was; the first line of each command has its start in it."""
    seconds = {"shared": [9.0, 5.0, 10.0], "ray": [99.0, 6.0, 11.0]}
    turns: list[str] = []
    monkeypatch.setattr(scaling, "Frozen", lambda words: Turns(words, seconds, turns))
    return turns


def test_ray_is_compared_clip_by_clip_without_the_start(clip: Path, turns: list[str]):
    plain, ray = scaling.compare_ray(clip, [], 3, 2)
    assert (plain["clips"], ray["clips"]) == (4, 4)
    assert (plain["seconds_per_clip"], ray["seconds_per_clip"]) == (7.5, 8.5)
    assert ray["overhead_percent"] == pytest.approx(15)
    assert (ray["overhead_low"], ray["overhead_high"]) == pytest.approx((10, 20))


def test_turns_change_their_order(clip: Path, turns: list[str]):
    scaling.compare_ray(clip, [], 3, 1)
    assert turns == ["shared", "ray", "ray", "shared", "shared", "ray"]


def test_ray_that_makes_other_files_has_no_row(
    clip: Path, turns: list[str], monkeypatch: pytest.MonkeyPatch
):
    hashes = iter("ab")
    monkeypatch.setattr(scaling, "hash_of", lambda file: next(hashes))
    with pytest.raises(SystemExit, match="ray made other files"):
        scaling.compare_ray(clip, [], 3, 1)


COUNTING = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time\\nwhile True: time.sleep(0.001)"])
for number in range(3):
    print(number, flush=True)
    time.sleep(0.3)
child.kill()
"""


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> scaling.Frozen:
    def started(words: list[Any]) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", COUNTING], stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(scaling, "started", started)
    return scaling.Frozen(["batch"])


def test_a_command_and_its_processes_rest_between_their_lines(counting: scaling.Frozen):
    with counting as command:
        command.seconds_to_line()
        states = [process.status() for process in command._processes()]
        assert states == [psutil.STATUS_STOPPED] * 2


def test_a_command_that_ends_early_is_an_error(counting: scaling.Frozen):
    with pytest.raises(SystemExit, match="fairy batch ended early"), counting as command:
        for _ in range(4):
            command.seconds_to_line()


def test_what_other_programs_use_is_told_apart(monkeypatch: pytest.MonkeyPatch):
    before, after = scaling.Busy(0.0, 100.0, 10.0), scaling.Busy(10.0, 118.0, 22.0)
    monkeypatch.setattr(scaling.Busy, "now", lambda *running: after)
    assert scaling.cores_of_others(before) == 0.6


def test_numbers_of_workers_for_a_machine():
    assert scaling.doubling(1) == [1]
    assert scaling.doubling(8) == [1, 2, 4, 8]
