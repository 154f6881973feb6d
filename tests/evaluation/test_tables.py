"""fairy/evaluation/tables.py."""

from __future__ import annotations

from dataclasses import replace

from fairy.evaluation.measures import MEASURES_BY_KEY
from fairy.evaluation.statistics import holm
from fairy.evaluation.tables import findings, reference_tests, show, summary
from tests.evaluation.conftest import NUM_CLIPS, make_results


def test_the_best_follows_the_direction_of_the_measure(results):
    best = {m.key: [cell.best for cell in cells] for m, cells in summary(results)}
    assert best == {"warp_error": [False, True], "psnr_db": [False, True]}


def test_a_method_alone_is_not_called_best():
    rows = summary(make_results({"mine": [0.001]}, reference=None))
    assert not any(cell.best for _, cells in rows for cell in cells)


def test_values_are_scaled_and_rounded_for_people():
    assert show(MEASURES_BY_KEY["warp_error"], 0.00105) == "1.05"
    assert show(MEASURES_BY_KEY["warp_error"], -0.004, "+") == "−4.00"


def test_steadier_in_every_clip_is_better(results):
    warp, psnr = reference_tests(results)
    assert (warp.verdict, psnr.verdict) == ("better", "better")
    assert warp.wins == psnr.wins == NUM_CLIPS


def test_p_is_corrected_for_all_rows(results):
    tested = reference_tests(results)
    assert [t.p for t in tested] == holm([t.test.p for t in tested])


def test_chance_is_not_called_better():
    steady = [0.002 + 0.0001 * (i % 2) for i in range(NUM_CLIPS)]
    mixed = [value + 0.0001 * (-1) ** (i // 2) for i, value in enumerate(steady)]
    verdicts = {t.verdict for t in reference_tests(make_results({"a": steady, "anchors": mixed}))}
    assert verdicts == {"no clear difference"}


def test_findings_name_the_difference_and_its_proof(results):
    (said,) = findings(results)
    assert said.startswith("anchors against alone: steadier. Warp error 1.41 instead of 5.65")
    assert f"lower in {NUM_CLIPS} of {NUM_CLIPS} clips (p < 0.001)" in said


def test_copies_are_called_hardly_edited():
    results = make_results({"mine": [0.0001]}, reference=None)
    case = results.cases[0]
    copy = replace(case, scores=replace(case.scores, hardly_edited=True))
    assert "the clip is hardly edited" in findings(replace(results, cases=[copy]))[0]
