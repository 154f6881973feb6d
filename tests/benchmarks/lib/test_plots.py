"""benchmarks/lib/plots.py: which rows each panel shows, and that there is a picture."""

from __future__ import annotations

import cv2

from benchmarks.lib.plots import by_batch, by_length, draw_speed, whole_edits


def test_speed_against_f_takes_rows_that_differ_in_f_alone(make_row):
    sweep = [make_row("edit", F=size, run="first", steps=2) for size in (16, 4, 8)]
    other = [make_row("edit", F=32, run=run) for run in ("first", "steady")]
    assert [row["F"] for row in by_batch([*other, *sweep])] == [4, 8, 16]
    assert by_batch(other) == []


def test_memory_is_of_edits_where_nothing_else_measured_it(make_row):
    lengths = [make_row("edit", num_frames=count, run="first") for count in (480, 120)]
    batches = [make_row("edit", F=4)]
    assert [row["num_frames"] for row in by_length([*lengths, *batches])] == [120, 480]
    memory = [make_row("memory", num_frames=60)]
    assert by_length([*lengths, *memory]) == memory


def test_stages_are_of_exact_whole_edits(make_row):
    exact = [make_row("edit", run=run) for run in ("first", "steady")]
    few_steps = [make_row("edit", steps=2)]
    fast = [make_row("edit", mode="fast")]
    assert whole_edits([*exact, *few_steps, *fast]) == exact


def test_picture_is_drawn_for_any_subset_of_rows(make_row, tmp_path):
    full = [make_row("edit"), *(make_row("memory", num_frames=n) for n in (60, 120))]
    full += [make_row("edit", F=size, run="first") for size in (2, 4)]
    for name, rows in (("full", full), ("memory only", full[1:2])):
        draw_speed(rows, tmp_path / f"{name}.png")
        picture = cv2.imread(str(tmp_path / f"{name}.png"))
        assert picture.std() > 5, name
