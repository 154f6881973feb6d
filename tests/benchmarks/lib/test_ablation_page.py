"""benchmarks/lib/ablation_page.py, on results made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.lib.ablation_page import (
    DOCUMENT,
    FINDINGS,
    PARTS,
    SHEET,
    Part,
    change_in_words,
    finding,
    full_tables,
    steps_table,
    write_pages,
)
from fairy.evaluation.results import Results
from fairy.evaluation.statistics import relative_change
from tests.evaluation.conftest import make_results

METHODS = {"own noise": 8.0, "shared noise": 2.0, "3 anchors": 1.0, "3 anchors, tuned": 0.5}
REAL, RENDERED, REAL_EXACT, _ = PARTS


def made(**known: object) -> Results:
    """Results in which each method has so many times the same errors, each case a neon edit."""
    errors = {name: [factor * e for e in (0.001, 0.003)] for name, factor in METHODS.items()}
    results = make_results(errors, reference="3 anchors", **known)
    return replace(results, cases=[replace(case, edit="neon_light") for case in results.cases])


@pytest.fixture
def parts() -> dict[Part, Results]:
    return {REAL: made(), RENDERED: made(), REAL_EXACT: made()}


def test_change_has_its_interval_and_count():
    change = relative_change([[0.5], [0.5]], [[1.0], [2.0]])
    assert change_in_words(change) == "−64.6 % (−75.0 to −50.0), 2 of 2"
    assert change_in_words(relative_change([[2.0]], [[1.0]])) == "+100.0 %, 0 of 1"


def test_each_step_is_a_row_and_each_kind_of_clip_a_column(parts):
    lines = steps_table(parts).splitlines()
    assert lines[0].count("|") == len(parts) + 2
    steps = [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]]
    assert steps == [
        "own noise → shared noise", "shared noise → 3 anchors", "3 anchors → 3 anchors, tuned"
    ]  # fmt: skip
    assert lines[3].count("−50.0 % (−50.0 to −50.0), 2 of 2") == len(parts)


def test_a_step_that_one_kind_of_clip_lacks_is_a_dash():
    fewer = make_results(
        {"shared noise": [0.002, 0.002], "3 anchors": [0.001, 0.001]}, reference="3 anchors"
    )
    assert steps_table({REAL: made(), RENDERED: fewer}).splitlines()[2].endswith("| – |")


def test_finding_names_command_and_commit():
    text = finding({REAL: made(origin={"commit": "abc1234"})})
    assert "`make evidence`, commit `abc1234`" in text and "2 real clips" in text
    assert "not measured" in finding({}).lower()


def test_tables_have_every_measure_and_edit(parts):
    text = full_tables(parts)
    assert "Warp error ↓" in text and "PSNR to the target ↑" in text
    assert "| neon light | – |" in text
    assert "better than the first in" in text


def test_pages_change_between_their_marks_only_and_get_the_plot(parts, tmp_path: Path):
    for name in (DOCUMENT, FINDINGS):
        page = tmp_path / name
        page.parent.mkdir(exist_ok=True)
        page.write_text("before\n<!-- ablation -->\nold\n<!-- /ablation -->\nafter\n")
    write_pages(parts, tmp_path)
    for name in (DOCUMENT, FINDINGS):
        text = (tmp_path / name).read_text()
        assert text.startswith("before\n<!-- ablation -->\n") and text.endswith("\nafter\n")
        assert "\nold\n" not in text
    # Edits with an exact result have no place in FINDINGS
    assert "exact result" not in (tmp_path / FINDINGS).read_text()
    assert Image.open(tmp_path / SHEET).size[0] > 500


def test_without_results_there_is_nothing_to_write(tmp_path):
    with pytest.raises(ValueError, match="no results"):
        write_pages({}, tmp_path)
