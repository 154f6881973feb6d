"""fairy/evaluation/statistics.py."""

from __future__ import annotations

import numpy as np
import pytest

from fairy.evaluation.statistics import (
    EXACT_PAIRS,
    estimate_mean,
    holm,
    paired_test,
    sign_flip_p,
)


def test_interval_holds_the_mean_and_shrinks_with_more_clips():
    values = np.random.default_rng(1).normal(size=200)
    few, many = estimate_mean(values[:10].tolist()), estimate_mean(values.tolist())
    assert few.low < few.mean < few.high
    assert many.high - many.low < few.high - few.low


def test_interval_covers_the_truth_about_as_often_as_it_says():
    draws = np.random.default_rng(2).normal(size=(200, 25))
    estimates = [estimate_mean(row.tolist()) for row in draws]
    covered = np.mean([e.low <= 0 <= e.high for e in estimates])
    assert 0.88 <= covered <= 0.98


def test_one_clip_has_no_interval():
    assert estimate_mean([3.0]) == type(estimate_mean([3.0]))(3.0, None, None, 1)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")]])
def test_scores_that_are_none_or_not_finite_are_refused(values):
    with pytest.raises(ValueError, match="finite"):
        estimate_mean(values)


def test_equal_methods_are_not_told_apart():
    test = paired_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (test.p, test.smaller, test.larger) == (1.0, 0, 0)
    assert test.difference.mean == 0


def test_smallest_p_is_that_of_two_patterns():
    assert sign_flip_p([0.1] * 8) == 2 / 2**8


def test_direction_does_not_matter_to_p():
    differences = np.random.default_rng(3).normal(0.5, 1, 9)
    assert sign_flip_p(differences.tolist()) == sign_flip_p((-differences).tolist())


def test_pairing_sees_what_the_spread_between_clips_hides():
    clips = np.random.default_rng(4).normal(0, 100, 10)
    test = paired_test((clips - 1).tolist(), clips.tolist())
    assert test.p < 0.01
    assert test.smaller == 10


def test_drawn_patterns_agree_with_all_of_them():
    differences = np.random.default_rng(5).normal(0.4, 1, EXACT_PAIRS + 1)
    exact = np.mean(
        [
            abs(sum(d if bits >> i & 1 else -d for i, d in enumerate(differences)))
            >= abs(differences.sum()) - 1e-9
            for bits in range(2 ** len(differences))
        ]
    )
    assert sign_flip_p(differences.tolist()) == pytest.approx(exact, abs=0.02)


def test_chance_is_called_a_difference_one_time_in_twenty():
    noise = np.random.default_rng(6).normal(size=(300, 10))
    assert np.mean([sign_flip_p(row.tolist()) < 0.05 for row in noise]) < 0.09


def test_correction_never_lowers_p_and_keeps_their_order():
    given = [0.001, 0.2, 0.01, 0.9]
    corrected = holm(given)
    assert corrected == pytest.approx([0.004, 0.4, 0.03, 0.9])
    assert all(c >= p for c, p in zip(corrected, given, strict=True))


def test_scores_of_other_clips_are_refused():
    with pytest.raises(ValueError, match="every clip"):
        paired_test([1.0, 2.0], [1.0])
