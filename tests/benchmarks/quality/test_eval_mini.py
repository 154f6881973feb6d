"""benchmarks/quality/eval_mini.py on the tiny pipeline with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.quality import eval_mini
from benchmarks.quality.eval_mini import PARTS, main, size_on_disk, summary
from tests.tiny import save_tiny_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return save_tiny_pipeline(folder, size=32, num_inference_steps=1, guidance_scale=1.0)


def measure(model: Path, part: str, out: Path, *more: str) -> list[dict]:
    words = [part, "--model", str(model), "--device", "cpu", "--sizes", "16", "--images", "4"]
    main([*words, "--out", str(out), *more])
    document = json.loads((out / f"{part}.json").read_text())
    assert document["commit"] and document["processor"]
    return document["rows"]


def test_looks_have_a_row_for_each_and_for_all(model, tmp_path):
    rows = measure(model, "looks", tmp_path, "--sheets", str(tmp_path))
    assert [row["images"] for row in rows] == [1, 1, 1, 1, 4]
    assert rows[-1]["edit"] == "all" and "reached" not in rows[-1]
    assert (tmp_path / "looks_16.png").exists()


def test_local_edits_are_measured_on_the_named_and_on_the_rest(model, tmp_path):
    rows = measure(model, "local", tmp_path)
    by_edit = {row["edit"]: row for row in rows}
    assert {"recolour", "reshape", "remove", "grey_background", "all"} == by_edit.keys()
    assert by_edit["remove"]["bound"] > 0 and by_edit["recolour"]["bound"] is None


def test_autoencoder_is_measured_on_scenes_where_nothing_else_is_given(model, tmp_path):
    (row,) = measure(model, "autoencoder", tmp_path)
    assert row["of"] == "rendered scenes" and row["images"] == 4 and 0 < row["psnr_db"] < 60


def test_speed_is_for_a_frame_of_a_clip_with_anchors(model, tmp_path):
    (row,) = measure(model, "speed", tmp_path, "--frames", "4", "--steps", "1")
    assert row["s_per_frame"] > 0 and row["anchors"] == 3
    assert row["mb_on_disk"] == pytest.approx(size_on_disk(str(model)) / 1e6)


def test_a_sweep_has_a_row_for_each_setting(model, tmp_path, monkeypatch):
    monkeypatch.setattr(eval_mini, "STEPS", (1, 2))
    assert [row["settings"] for row in measure(model, "steps", tmp_path)] == ["1 steps", "2 steps"]


def test_every_part_is_described():
    assert all(name in (eval_mini.__doc__ or "") for name in PARTS)


def test_share_of_the_bound_is_of_removals_alone():
    row = {"right": True, "psnr_db": 20.0, "reached": 0.6, "rest_moved": 0.01, "named_only": True}
    removed = {**row, "edit": "remove", "bound": 0.8}
    assert summary("remove", [removed])["of_bound_percent"] == pytest.approx(75)
    both = summary("all", [removed, {**row, "edit": "recolour"}])
    assert both["of_bound_percent"] is None and both["reached"] == pytest.approx(0.6)


def test_scenes_that_already_are_as_asked_do_not_count_as_reached() -> None:
    row = {"edit": "recolour", "right": 1.0, "psnr_db": 20.0, "rest_moved": 0.0, "named_only": 0.0}
    rows = [{**row, "reached": 0.5}, {**row, "reached": float("nan")}]
    assert summary("recolour", rows)["reached"] == 0.5
    assert summary("recolour", rows[1:])["reached"] is None
