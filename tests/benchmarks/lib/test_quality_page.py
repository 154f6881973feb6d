"""benchmarks/lib/quality_page.py, on documents and results made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.lib.quality_page import (
    COLUMNS,
    METRICS,
    QUALITY,
    REPORT,
    SWEEPS,
    TRACKING,
    table_of,
    write_quality,
    write_suite,
)
from fairy.analysis.tracking import THRESHOLDS_PX, LayerAccuracy, TrackingAccuracy
from fairy.evaluation.report import write_report
from fairy.evaluation.results import Results
from tests.evaluation.conftest import make_results

ORIGIN = {"commit": "abc1234", "processor": "CPU x 2", "device": "cpu", "threads": 2}
ROOT = Path(__file__).parents[3]


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Copies of this project's own pages: their marks are what is written between."""
    for name in (QUALITY, METRICS):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def looks(psnr_db: float) -> dict:
    row = {"size": 256, "edit": "pencil_sketch", "psnr_db": psnr_db, "right_percent": 99.2}
    return {**ORIGIN, "rows": [{**row, "images": 128}]}


def test_table_has_its_rows_and_where_they_were_measured():
    text = table_of(looks(29.54), COLUMNS["looks"])
    assert "| 256 | pencil sketch | 29.5 | 99.2 | 128 |" in text
    assert text.endswith("Commit `abc1234`, CPU x 2, 2 threads.")


def test_what_was_not_measured_is_a_dash():
    row = {"size": 256, "edit": "recolour", "reached": 0.9, "bound": None, "images": 50}
    cells = table_of({**ORIGIN, "rows": [row]}, COLUMNS["local"]).splitlines()[2]
    assert cells.startswith("| 256 | recolour | 0.90 | – | – |")


def test_only_measured_parts_are_replaced(pages, tmp_path):
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured" / "looks.json").write_text(json.dumps(looks(29.5)))
    before = (pages / QUALITY).read_text(encoding="utf-8")
    write_quality(tmp_path / "measured", pages)
    after = (pages / QUALITY).read_text(encoding="utf-8")
    assert "pencil sketch" in after
    assert after.split("<!-- local -->")[1] == before.split("<!-- local -->")[1]


def suite() -> Results:
    shares = dict.fromkeys(THRESHOLDS_PX, 0.25)
    layers = [
        LayerAccuracy(f"mid.{n}.attn1", 0, (4, 6), dict.fromkeys(THRESHOLDS_PX, n / 10), shares)
        for n in range(4)
    ]
    results = make_results({"alone": [0.004, 0.003], "anchors": [0.001, 0.002]})
    swept = [replace(case, method=method) for case in results.cases for method in ("1", "3")]
    return replace(
        results,
        sweeps={"num_anchors": swept},
        tracking={"mini": TrackingAccuracy(layers, shares, 1234)},
        origin=ORIGIN | {"fairy": "1", "torch": "2"},
    )


def test_a_suite_s_report_plots_and_best_layer_come_into_the_documents(pages, tmp_path):
    report = tmp_path / "report.html"
    write_report(report, suite(), [])
    write_suite(report, pages)
    assert (pages / REPORT).read_text() == report.read_text()
    assert (pages / SWEEPS).exists() and (pages / TRACKING).exists()
    metrics = (pages / METRICS).read_text(encoding="utf-8")
    assert "of 1234 points its layer 4 (`mid.3`) finds 30.0% within 32 px" in metrics
    assert "sheets/anchors_and_steps.png" in (pages / QUALITY).read_text(encoding="utf-8")


def test_a_suite_without_sweeps_and_tracking_leaves_those_pages_alone(pages, tmp_path):
    report = tmp_path / "report.html"
    write_report(report, replace(suite(), sweeps={}, tracking={}), [])
    before = [(pages / name).read_text(encoding="utf-8") for name in (QUALITY, METRICS)]
    write_suite(report, pages)
    assert [(pages / name).read_text(encoding="utf-8") for name in (QUALITY, METRICS)] == before
