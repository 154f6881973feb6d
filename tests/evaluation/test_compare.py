"""fairy/evaluation/compare.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairy.errors import SettingsError
from fairy.evaluation.compare import compare
from tests.evaluation.conftest import NUM_CLIPS, make_results

STEADY = [0.002 + 0.0001 * i for i in range(NUM_CLIPS)]


def scaled(factor: float, **known: object):
    return make_results({"anchors": [factor * value for value in STEADY]}, **known)


def test_the_same_results_show_no_change(results):
    comparison = compare(results, results)
    assert not comparison.regressions
    assert not comparison.improvements
    assert all(change.p == 1 for change in comparison.changes)


def test_what_flickers_more_is_a_regression():
    comparison = compare(scaled(1), scaled(1.5))
    assert [c.measure.key for c in comparison.regressions] == ["warp_error", "psnr_db"]
    assert comparison.relative[0] == pytest.approx(0.5)


def test_what_flickers_less_is_an_improvement():
    comparison = compare(scaled(1), scaled(0.5))
    assert not comparison.regressions
    assert len(comparison.improvements) == 2


def test_rounding_in_every_clip_is_no_regression():
    changed = compare(scaled(1), scaled(1.0001))
    assert changed.changes[0].p < 0.05
    assert not changed.regressions


def test_one_clip_worse_among_many_is_no_regression():
    worse = scaled(1).cases
    values = [*STEADY[:-1], STEADY[-1] * 3]
    assert len(worse) == NUM_CLIPS
    assert not compare(scaled(1), make_results({"anchors": values})).regressions


def test_what_is_in_one_only_and_other_settings_are_said(results):
    other = replace(scaled(1, settings={"model": "b"}), methods=["anchors", "new"])
    notes = compare(replace(results, settings={"model": "a"}), other).notes
    assert "methods only before: alone" in notes
    assert "methods only after: new" in notes
    assert "model: a before, b after" in notes


def test_too_few_clips_to_tell_are_said():
    few = make_results({"anchors": STEADY[:3]})
    assert any("3 clips cannot show" in note for note in compare(few, few).notes)
    assert not any("cannot show" in note for note in compare(scaled(1), scaled(1)).notes)


def test_evaluations_with_nothing_in_common_are_refused():
    with pytest.raises(SettingsError, match="have no clip"):
        compare(make_results({"a": STEADY}), make_results({"b": STEADY}))
