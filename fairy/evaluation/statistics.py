"""Means with intervals, and significance tests: over clips, never over frames.

The unit is the clip, because frames of one clip are not independent. All draws use a fixed seed, so
the same scores give the same intervals. Bootstrap and permutation test are SciPy's.
Tests: tests/evaluation/test_statistics.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
NUM_DRAWS = 10_000


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` clips and its 95 % interval; low and high are None for a single clip."""

    mean: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class PairedTest:
    """One method compared with another on the same clips, with the same seeds.

    Attributes:
        difference: the first minus the second, with its interval.
        p: probability of a mean difference this large, either way, if the two were equal.
        smaller: clips in which the first is smaller.
        larger: clips in which the first is larger.
    """

    difference: Estimate
    p: float
    smaller: int
    larger: int


@dataclass(frozen=True)
class RelativeChange:
    """How much one method changes a score relative to another, over clips.

    Attributes:
        percent: geometric mean over clips of after / before, minus 1, in percent, with its 95 %
            interval.
        smaller: clips in which `after` is smaller.
    """

    percent: Estimate
    smaller: int


def estimate_mean(values: Sequence[float]) -> Estimate:
    """Return the mean and its percentile bootstrap interval (Efron, 1979).

    Raises:
        ValueError: there is no value, or one is not finite.
    """
    array = _finite(values)
    if len(array) == 1:
        return Estimate(float(array[0]), None, None, 1)
    interval = stats.bootstrap(
        (array,), np.mean, confidence_level=LEVEL, n_resamples=NUM_DRAWS, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Estimate(float(array.mean()), float(interval.low), float(interval.high), len(array))


def paired_test(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Compare two methods clip by clip: interval of the difference and a sign-flip test.

    Raises:
        ValueError: a clip lacks one of the two scores.
    """
    _check_paired(first, second)
    differences = _finite(first) - _finite(second)
    return PairedTest(
        difference=estimate_mean(differences.tolist()),
        p=sign_flip_p(differences.tolist()),
        smaller=int((differences < 0).sum()),
        larger=int((differences > 0).sum()),
    )


def relative_change(
    after: Sequence[Sequence[float]], before: Sequence[Sequence[float]]
) -> RelativeChange:
    """Compare two methods clip by clip on a ratio scale, such as warp errors.

    `d_c = mean over a clip's edits of log(after / before)`; the result is `exp(mean over clips of
    d) - 1`, its interval the bootstrap of the d over clips.

    Args:
        after: positive scores of each clip, one for each of its edits.
        before: the same clips and edits by the other method.

    Raises:
        ValueError: the clips and edits differ, or a score is not positive.
    """
    _check_paired(after, before)
    logs = []
    for new, old in zip(after, before, strict=True):
        _check_paired(new, old)
        if min(*new, *old) <= 0:
            raise ValueError(f"scores {list(new)} and {list(old)}: ratios need positive scores")
        logs.append(float(np.log(_finite(new) / _finite(old)).mean()))
    change = estimate_mean(logs)
    percent = Estimate(
        _percent(change.mean),
        None if change.low is None else _percent(change.low),
        None if change.high is None else _percent(change.high),
        change.count,
    )
    return RelativeChange(percent, sum(log < 0 for log in logs))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p of the paired permutation test (Fisher, 1935).

    If the two methods were equal, each clip's difference could as well have the other sign. `p` is
    the share of sign patterns whose mean is at least as far from 0, so N clips cannot give less
    than `2 / 2**N`. Up to 13 clips all patterns are counted; above, `NUM_DRAWS` are drawn. No
    difference at all gives 1.

    >>> sign_flip_p([1.0, 2.0, 3.0])
    0.25
    """
    array = _finite(differences)
    if len(array) == 1:
        return 1.0
    # Given one sample, SciPy flips signs
    return float(
        stats.permutation_test(
            (array,), np.mean, permutation_type="samples", vectorized=True,
            n_resamples=NUM_DRAWS, rng=np.random.default_rng(0),
        ).pvalue
    )  # fmt: skip


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for multiple tests (Holm, 1979), in the given order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _percent(log_ratio: float) -> float:
    return 100 * float(np.expm1(log_ratio))


def _check_paired(first: Sequence[object], second: Sequence[object]) -> None:
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores: give one of each per clip")


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"scores {list(values)}: give at least one, all finite")
    return array
