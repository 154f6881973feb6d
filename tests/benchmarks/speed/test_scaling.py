"""The scaling table: a row for each number of workers, refused if their files differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed import scaling


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


def edits(monkeypatch: pytest.MonkeyPatch, contents: list[bytes], seconds: list[float]) -> None:
    """Let `fairy edit` write these files and times, one after another."""
    calls = iter(zip(contents, seconds, strict=True))

    def run(words: list[Any]) -> list[float]:
        content, took_s = next(calls)
        words[words.index("-o") + 1].write_bytes(content)
        report = words[words.index("--report") + 1]
        report.write_text(json.dumps({"seconds": {"total": took_s}}))
        return []

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


def test_ray_is_compared_without_the_start(monkeypatch: pytest.MonkeyPatch, clip: Path):
    times = {"shared": [100.0, 105.0, 110.0], "ray": [300.0, 306.0, 312.0]}
    monkeypatch.setattr(scaling, "run", lambda words: times[words[-1]])
    plain, ray = scaling.compare_ray(clip, [], 3, 2)
    assert (plain["seconds_per_clip"], ray["seconds_per_clip"]) == (5.0, 6.0)
    assert ray["overhead_percent"] == pytest.approx(20)


def test_a_clip_that_others_slowed_down_is_told_from_ray(
    monkeypatch: pytest.MonkeyPatch, clip: Path
):
    times = {"shared": [0.0, 5.0, 10.0, 15.0, 20.0], "ray": [0.0, 5.0, 10.0, 15.0, 30.0]}
    monkeypatch.setattr(scaling, "run", lambda words: times[words[-1]])
    _, ray = scaling.compare_ray(clip, [], 5, 1)
    assert ray["overhead_percent"] == pytest.approx(50)
    assert ray["quiet_percent"] == pytest.approx(0)


def test_ray_that_makes_other_files_has_no_row(monkeypatch: pytest.MonkeyPatch, clip: Path):
    def run(words: list[Any]) -> list[float]:
        out = words[words.index("-o") + 1]
        out.mkdir()
        (out / "0.mp4").write_text(words[-1])
        return [1.0, 2.0, 3.0]

    monkeypatch.setattr(scaling, "run", run)
    with pytest.raises(SystemExit, match="ray made other files"):
        scaling.compare_ray(clip, [], 3, 1)


def test_rounds_change_the_order(monkeypatch: pytest.MonkeyPatch, clip: Path):
    ways = []
    monkeypatch.setattr(scaling, "run", lambda words: ways.append(words[-1]) or [1.0, 2.0, 3.0])
    scaling.compare_ray(clip, [], 3, 4)
    assert ways == ["shared", "ray", "ray", "shared"] * 2


def test_what_other_programs_use_is_told_apart(monkeypatch: pytest.MonkeyPatch):
    before, after = scaling.Busy(0.0, 100.0, 10.0), scaling.Busy(10.0, 118.0, 22.0)
    monkeypatch.setattr(scaling.Busy, "now", lambda: after)
    assert scaling.cores_of_others(before) == 0.6


def test_numbers_of_workers_for_a_machine():
    assert scaling.doubling(1) == [1]
    assert scaling.doubling(8) == [1, 2, 4, 8]
