"""fairy/evaluation/steps.py, on results made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairy.evaluation.results import Results
from fairy.evaluation.steps import change_by_clip, compared_pairs, means_by_edit, method_steps
from tests.evaluation.conftest import make_results

ERRORS = [0.001, 0.004, 0.002]


def with_factors(**factors: float) -> Results:
    """Results in which each method has so many times the same errors."""
    methods = {name: [factor * error for error in ERRORS] for name, factor in factors.items()}
    return make_results(methods, reference="anchors")


def test_each_step_is_relative_to_the_method_before():
    steps = method_steps(with_factors(own=8, shared=2, anchors=1, tuned=0.5))
    assert [(step.before, step.after) for step in steps] == [
        ("own", "shared"),
        ("shared", "anchors"),
        ("anchors", "tuned"),
    ]
    assert [step.change.percent.mean for step in steps] == pytest.approx([-75, -50, -50])
    assert all(step.change.smaller == 3 for step in steps)


def test_finetuned_models_are_compared_with_the_control():
    methods = ["own", "anchors", "anchors, longer training", "anchors, a", "anchors, b"]
    assert compared_pairs(methods, "anchors")[1:] == [
        ("anchors", "anchors, longer training"),
        ("anchors, longer training", "anchors, a"),
        ("anchors, longer training", "anchors, b"),
    ]


def test_without_a_reference_nothing_is_compared():
    assert compared_pairs(["mine"], None) == []


def test_a_clip_with_several_edits_counts_once():
    cases = with_factors(a=1, b=1).cases
    first, second = cases[0], cases[3]
    after = [replace(first, instruction=text, method="b") for text in ("x", "y", "z")]
    before = [replace(second, clip=first.clip, seed=0, instruction=text) for text in "xyz"]
    assert change_by_clip(after, before, "warp_error").percent.count == 1


def test_a_clip_without_any_error_is_left_out():
    results = make_results({"a": [0.0, 0.002], "b": [0.0, 0.001]}, reference=None)
    change = change_by_clip(results.of("b"), results.of("a"), "warp_error")
    assert change.percent.count == 1 and change.percent.mean == pytest.approx(-50)
    assert change_by_clip(results.of("b")[:1], results.of("a"), "warp_error") is None


def test_means_are_grouped_by_edit():
    results = with_factors(own=2, anchors=1)
    named = [replace(case, edit="neon" if case.seed else "duotone") for case in results.cases]
    found = means_by_edit(replace(results, cases=named), "warp_error")
    assert found["duotone"] == pytest.approx({"own": 0.002, "anchors": 0.001})
    assert found["neon"] == pytest.approx({"own": 0.006, "anchors": 0.003})
    assert means_by_edit(results, "warp_error") == {}
