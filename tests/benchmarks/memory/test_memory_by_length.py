"""memory/memory_by_length.py: the ratio is of the longest clip's peak to the shortest's."""

from __future__ import annotations

import json

import pytest

from benchmarks.memory import memory_by_length

PEAKS = {60: 600e6, 120: 630e6}


@pytest.fixture
def edited(monkeypatch):
    """Return the options of each edit; its peaks are made up."""
    asked = {}

    def report(clip, instruction, *options):
        length = int(clip.stem)
        asked[length] = options
        return {"peak_memory_bytes": PEAKS[length], "seconds": {"total": 1.0}}

    monkeypatch.setattr(memory_by_length, "report_of_edit", report)
    return asked


def test_ratio_of_peaks(edited, capsys):
    memory_by_length.main(["--lengths", "60", "120", "--size", "32x32"])
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["ratio"] == pytest.approx(1.05)
    assert [row["num_frames"] for row in document["rows"]] == [60, 120]


def test_all_lengths_are_edited_alike(edited):
    memory_by_length.main(["--lengths", "60", "120", "--size", "32x32", "--batch", "3"])
    assert edited[60] == edited[120]
    assert "3" in map(str, edited[60])
