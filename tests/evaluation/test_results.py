"""fairy/evaluation/results.py."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

from fairy.analysis.tracking import THRESHOLDS_PX, LayerAccuracy, TrackingAccuracy
from fairy.errors import SettingsError
from fairy.evaluation.measures import MEASURES
from fairy.evaluation.results import read_results
from tests.evaluation.conftest import NUM_CLIPS, make_results


def test_json_reads_back_as_it_was(results, tmp_path):
    path = tmp_path / "a.json"
    shares = dict.fromkeys(THRESHOLDS_PX, 0.25)
    layers = [LayerAccuracy("down", 0, (4, 6), shares, shares)]
    results = replace(
        results, sweeps={"num_anchors": results.cases[:3]}, notes=["aligned"],
        tracking={"mini": TrackingAccuracy(layers, shares, 100)},
    )  # fmt: skip
    path.write_text(results.to_json(), encoding="utf-8")
    assert read_results(path) == results


def test_csv_has_a_row_for_each_clip_and_method(results):
    rows = list(csv.DictReader(results.to_csv().splitlines()))
    assert len(rows) == 2 * NUM_CLIPS
    assert {row.key for row in MEASURES} <= rows[0].keys()
    assert float(rows[0]["warp_error"]) == results.cases[0].scores.values["warp_error"]
    assert rows[0]["tem_con"] == ""


def test_origin_says_what_and_where(results):
    assert {"fairy", "torch", "processor", "threads"} <= results.origin.keys()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', '{"format": 1, "a": 2}'])
def test_another_document_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="not the JSON of an evaluation"):
        read_results(path)


def test_a_document_with_unknown_entries_is_refused(results, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**json.loads(results.to_json()), "more": 1}))
    with pytest.raises(SettingsError):
        read_results(path)


def test_a_missing_document_is_said(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        read_results(tmp_path / "none.json")


def test_methods_are_paired_by_clip_not_by_order(results):
    half = NUM_CLIPS
    turned = replace(results, cases=[*results.cases[:half], *results.cases[half:][::-1]])
    test = turned.test("anchors", "alone", "warp_error")
    assert test is not None
    assert test.smaller == NUM_CLIPS


def test_clips_that_only_one_method_has_do_not_count(results):
    fewer = replace(results, cases=results.cases[1:])
    test = fewer.test("anchors", "alone", "warp_error")
    assert test is not None
    assert test.difference.count == NUM_CLIPS - 1


def test_what_was_measured_of_no_clip_is_missing_with_its_reason(results):
    assert results.missing == {"needs a CLIP model": ["Tem-Con"]}
    assert [row.key for row in results.measures] == ["warp_error", "psnr_db"]
    assert results.estimate("alone", "tem_con") is None


def test_one_clip_gives_a_mean_without_an_interval():
    estimate = make_results({"a": [0.002]}, reference=None).estimate("a", "warp_error")
    assert (estimate.mean, estimate.low) == (0.002, None)
