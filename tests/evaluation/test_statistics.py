"""fairy/evaluation/statistics.py."""

from __future__ import annotations

import numpy as np
import pytest

from fairy.evaluation.statistics import (
    estimate_mean,
    holm,
    paired_test,
    relative_change,
    sign_flip_p,
)

# One more than the clips whose sign patterns are all counted
DRAWN_PAIRS = 14


def test_interval_holds_the_mean_and_shrinks_with_more_clips():
    values = np.random.default_rng(1).normal(size=200)
    few, many = estimate_mean(values[:10].tolist()), estimate_mean(values.tolist())
    assert few.low < few.mean < few.high
    assert many.high - many.low < few.high - few.low


def test_interval_covers_the_truth_about_as_often_as_it_says():
    draws = np.random.default_rng(2).normal(size=(100, 25))
    estimates = [estimate_mean(row.tolist()) for row in draws]
    covered = np.mean([e.low <= 0 <= e.high for e in estimates])
    assert 0.85 <= covered <= 0.99


def test_one_clip_has_no_interval():
    assert estimate_mean([3.0]) == type(estimate_mean([3.0]))(3.0, None, None, 1)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")]])
def test_no_score_or_one_that_is_not_finite_is_an_error(values):
    with pytest.raises(ValueError, match="finite"):
        estimate_mean(values)


def test_equal_methods_do_not_differ():
    test = paired_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (test.p, test.smaller, test.larger) == (1.0, 0, 0)
    assert test.difference.mean == 0


def test_smallest_p_is_that_of_two_patterns():
    assert sign_flip_p([0.1] * 8) == 2 / 2**8
    assert sign_flip_p([0.1]) == 1


def test_direction_does_not_matter_to_p():
    differences = np.random.default_rng(3).normal(0.5, 1, 9)
    assert sign_flip_p(differences.tolist()) == sign_flip_p((-differences).tolist())


def test_pairing_sees_what_the_spread_between_clips_hides():
    clips = np.random.default_rng(4).normal(0, 100, 10)
    test = paired_test((clips - 1).tolist(), clips.tolist())
    assert test.p < 0.01
    assert test.smaller == 10


def test_drawn_patterns_agree_with_all_of_them():
    differences = np.random.default_rng(5).normal(0.4, 1, DRAWN_PAIRS)
    exact = np.mean(
        [
            abs(sum(d if bits >> i & 1 else -d for i, d in enumerate(differences)))
            >= abs(differences.sum()) - 1e-9
            for bits in range(2 ** len(differences))
        ]
    )
    assert sign_flip_p(differences.tolist()) == pytest.approx(exact, abs=0.02)


def test_chance_is_called_a_difference_one_time_in_twenty():
    noise = np.random.default_rng(6).normal(size=(200, 8))
    assert np.mean([sign_flip_p(row.tolist()) < 0.05 for row in noise]) < 0.09


def test_correction_never_lowers_p_and_keeps_their_order():
    given = [0.001, 0.2, 0.01, 0.9]
    corrected = holm(given)
    assert corrected == pytest.approx([0.004, 0.4, 0.03, 0.9])
    assert all(c >= p for c, p in zip(corrected, given, strict=True))


def test_another_number_of_clips_is_an_error():
    with pytest.raises(ValueError, match="per clip"):
        paired_test([1.0, 2.0], [1.0])


def test_halved_errors_are_a_change_of_minus_fifty_percent():
    before = [[0.02, 0.4], [0.06, 0.1], [0.01, 0.5]]
    after = [[value / 2 for value in clip] for clip in before]
    change = relative_change(after, before)
    assert change.percent.mean == pytest.approx(-50)
    assert (change.percent.low, change.percent.high) == pytest.approx((-50, -50))
    assert (change.smaller, change.percent.count) == (3, 3)


def test_an_edit_with_large_errors_weighs_no_more_than_one_with_small():
    change = relative_change([[200.0, 0.01]], [[100.0, 0.02]])
    assert change.percent.mean == pytest.approx(0)


def test_relative_change_and_its_inverse_cancel():
    first, second = [[1.0, 3.0], [2.0, 5.0]], [[2.0, 2.0], [1.5, 4.0]]
    there, back = relative_change(first, second), relative_change(second, first)
    assert (1 + there.percent.mean / 100) * (1 + back.percent.mean / 100) == pytest.approx(1)


@pytest.mark.parametrize("before", [[[1.0]], [[1.0], [0.0]], [[1.0], []], [[1.0], [2.0, 3.0]]])
def test_relative_change_needs_the_same_edits_and_positive_scores(before):
    with pytest.raises(ValueError, match="scores"):
        relative_change([[1.0], [1.0]], before)
