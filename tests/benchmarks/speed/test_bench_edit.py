"""benchmarks/speed/bench_edit.py on a tiny model."""

from __future__ import annotations

import json

import pytest

from benchmarks.speed.bench_edit import STAGES, main, quality_of


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[dict]:
    out = tmp_path_factory.mktemp("edit") / "rows.jsonl"
    words = "--model sd15-tiny --device cpu --sizes 32x32 --frames 4 --steps 1 --anchors 1"
    main([*words.split(), "--modes", "exact", "fast", "--out", str(out)])
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.mark.slow
def test_first_run_stands_apart_from_later_ones(rows):
    assert [(row["mode"], row["run"]) for row in rows] == [
        ("exact", "first"),
        ("exact", "steady"),
        ("fast", "first"),
        ("fast", "steady"),
    ]


@pytest.mark.slow
def test_stages_but_for_the_codecs_are_the_whole_time(rows):
    for row in rows:
        parts = sum(row[stage] for stage in STAGES if stage not in ("decode_s", "encode_s"))
        assert parts == pytest.approx(2 * row["total_s"], abs=1e-3)
        assert all(row[stage] >= 0 for stage in STAGES)


@pytest.mark.slow
def test_share_of_the_bound_follows_from_flops_and_rate(rows):
    for row in rows:
        bound_s = row["pflop"] * 1e15 / row["flops_per_s"]
        assert row["%_of_bound"] == pytest.approx(100 * bound_s / row["total_s"], rel=1e-3)
        assert sum(row["pflop_by_stage"].values()) == pytest.approx(row["pflop"])


def test_mode_names_a_quality_or_none():
    assert quality_of("compile+fast") == "fast"
    assert quality_of("compile+fp8") == "exact"
