"""benchmarks/report.py: tables from rows, in a document between two marks."""

from __future__ import annotations

import json

import pytest

from benchmarks.report import main, tables


@pytest.fixture
def rows(make_row) -> list[dict]:
    scores = {"warp_error_1000": None, "change": 0.1, "sharpness": 0.7}
    times = {"median_s": 12.0, "times_plain": 0.8, "cpu_times_plain": 0.75}
    way = {"way": "ours", "image_guidance": 1.0, "branches_G": 2, "note": "3 anchors"}
    memory = [make_row("memory", num_frames=n, peak_mb=m) for n, m in ((60, 500.0), (480, 505.0))]
    return [make_row("edit"), make_row("baselines", **scores, **times, **way), *memory]


def test_tables_say_machine_commit_and_what_was_not_measured(rows):
    text = tables(rows)
    assert "CPU x 2, 2 threads, load 0.1" in text and "`abc1234`" in text
    ours = next(line for line in text.splitlines() if line.startswith("| ours"))
    assert "| 0.80 | 0.75 | not measured | 0.1 | 0.7 |" in ours


def test_memory_is_relative_to_the_shortest_clip(rows):
    assert "| 480 | 505.0 | 1.010 |" in tables(rows)


def test_every_line_of_a_table_has_the_same_number_of_columns(rows):
    for block in tables(rows).split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1


def test_batch_sizes_are_for_the_plot(make_row, rows):
    sweep = [make_row("edit", F=size, steps=2, run="first") for size in (2, 4)]
    assert tables([*rows, *sweep]) == tables(rows)


def test_what_is_not_there_has_no_table(rows):
    assert "Memory" not in tables(rows[:2])


def test_tables_are_written_into_the_page(rows, tmp_path):
    results, page = tmp_path / "rows.jsonl", tmp_path / "README.md"
    results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page.write_text("before\n<!-- speed -->\nold\n<!-- /speed -->\nafter\n")
    main([str(results), "--write", "--page", str(page)])
    written = page.read_text()
    assert written.startswith("before\n") and written.endswith("after\n")
    assert "old" not in written and "| ours" in written
