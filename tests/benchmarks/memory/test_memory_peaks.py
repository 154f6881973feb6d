"""benchmarks/memory/memory_peaks.py: each row has the prediction and the measurement."""

from __future__ import annotations

import json

import pytest

from benchmarks.memory import memory_peaks


@pytest.fixture
def rows(monkeypatch, capsys):
    """Return what measures edits of 32x32 by their rows; every peak is 500 MB."""
    report = {"peak_memory_bytes": 500e6, "peak_device_memory_bytes": 250e6, "seconds": {"edit": 1}}
    monkeypatch.setattr(memory_peaks, "report_of_edit", lambda clip, words, *options: report)

    def measure(*words):
        memory_peaks.main(["--sizes", "32x32", "--frames", "2", "4", *words])
        return json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]

    return measure


@pytest.mark.slow
def test_more_frames_at_a_time_are_said_to_take_more(rows):
    few, many = rows()
    assert few["said_mb"] < many["said_mb"]


def test_ratio_is_what_was_said_over_what_came(rows):
    for row in rows():
        assert row["came_mb"] == 500
        assert row["ratio"] == pytest.approx(row["said_mb"] / 500)


@pytest.mark.slow
def test_on_cuda_the_cache_is_in_both_places_in_turn(rows):
    near, far, *_ = rows("--device", "cuda")
    assert (near["cache"], far["cache"]) == ("device", "host")
    assert far["said_mb"] < near["said_mb"]
    assert near["came_mb"] == 250
