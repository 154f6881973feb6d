"""benchmarks/speed/bench_baselines.py on a tiny model, and its scores on known clips."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.speed.bench_baselines import PLAIN, main, scores
from fairy.evaluation.clips import rendered_clips
from fairy.metrics.temporal import warp_error


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> dict[str, dict]:
    out = tmp_path_factory.mktemp("baselines") / "rows.jsonl"
    words = "--model sd15-tiny --device cpu --size 32x32 --frames 5 --steps 1 --anchors 1"
    main([*words.split(), "--at-once", "3", "--repeats", "2", "--out", str(out)])
    return {row["way"]: row for row in map(json.loads, out.read_text().splitlines())}


@pytest.mark.slow
def test_every_way_is_timed_against_frame_by_frame(rows):
    assert len(rows) == 6
    assert rows[PLAIN]["times_plain"] == rows[PLAIN]["cpu_times_plain"] == 1
    for row in rows.values():
        assert len(row["all_s"]) == 2
        ratio = row["median_s"] / rows[PLAIN]["median_s"]
        assert row["times_plain"] == pytest.approx(ratio)


@pytest.mark.slow
def test_pictures_of_random_weights_are_not_scored(rows):
    assert all(row["warp_error_1000"] is None for row in rows.values())


@pytest.mark.slow
def test_tokenflow_is_named_as_work_without_its_picture(rows):
    assert "not its picture" in rows["TokenFlow's schedule"]["note"]


def test_clip_that_is_not_edited_scores_as_its_source():
    clip = next(iter(rendered_clips(1, 3, (32, 48))))
    found = scores(clip.frames, clip)
    assert found["warp_error_1000"] == 1000 * warp_error(clip.frames, clip.flow, clip.visible)
    assert (found["change"], found["sharpness"]) == (0, 1)


def test_flicker_shows_in_the_scores():
    clip = next(iter(rendered_clips(1, 4, (32, 48))))
    flickering = clip.frames + torch.tensor([0.0, 0.2, 0.0, 0.2])[:, None, None, None]
    still, seen = scores(clip.frames, clip), scores(flickering, clip)
    assert seen["warp_error_1000"] > still["warp_error_1000"] + 1000 * 0.2**2 / 2
    assert seen["change"] == pytest.approx(0.1, abs=1e-3)
