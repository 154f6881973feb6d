"""Means with intervals, and tests for "better": over clips, never over frames.

The unit is the clip: frames of one clip are no independent observations. All draws come from a
fixed seed, so that the same scores give the same intervals.
Tests: tests/evaluation/test_statistics.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
NUM_DRAWS = 10_000
# Up to 2**EXACT_PAIRS sign patterns are all counted; above that, NUM_DRAWS of them are drawn.
EXACT_PAIRS = 13


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` clips and its 95 % interval; low and high are None for a single clip."""

    mean: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class PairedTest:
    """A method against another on the same clips, with the same seeds.

    Attributes:
        difference: of the first minus the second, with its interval.
        p: probability of a mean difference this large, either way, if the two were alike.
        smaller: clips in which the first is smaller.
        larger: clips in which the first is larger.
    """

    difference: Estimate
    p: float
    smaller: int
    larger: int


def estimate_mean(values: Sequence[float]) -> Estimate:
    """Return the mean and its percentile bootstrap interval (Efron, 1979).

    Raises:
        ValueError: no value, or one that is not finite.
    """
    array = _finite(values)
    if len(array) == 1:
        return Estimate(float(array[0]), None, None, 1)
    drawn = np.random.default_rng(0).integers(len(array), size=(NUM_DRAWS, len(array)))
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(array[drawn].mean(1), [tail, 100 - tail])
    return Estimate(float(array.mean()), float(low), float(high), len(array))


def paired_test(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Compare two methods clip by clip: interval of the difference and a sign-flip test.

    Raises:
        ValueError: not one score of each for every clip.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores: give one of each for every clip")
    differences = _finite(first) - _finite(second)
    return PairedTest(
        difference=estimate_mean(differences.tolist()),
        p=sign_flip_p(differences.tolist()),
        smaller=int((differences < 0).sum()),
        larger=int((differences > 0).sum()),
    )


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p of the paired permutation test (Fisher, 1935).

    If the two methods were alike, each clip's difference could as well have the other sign. `p` is
    the share of sign patterns whose mean is at least as far from 0; so N clips cannot give less
    than `2 / 2**N`. No difference at all gives 1.

    >>> sign_flip_p([1.0, 2.0, 3.0])
    0.25
    """
    array = _finite(differences)
    sums = np.abs(_signs(len(array)) @ array)
    # Sums that differ in rounding alone are ties.
    reached = np.abs(array.sum()) - 1e-9 * np.abs(array).sum()
    return float((sums >= reached).mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for how many there are (Holm, 1979), in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _signs(count: int) -> NDArray[np.float64]:
    """Return sign patterns (P,count): all of them, or random ones with the observed one first."""
    if count <= EXACT_PAIRS:
        bits = np.arange(2**count)[:, None] >> np.arange(count) & 1
        return np.where(bits == 1, -1.0, 1.0)
    drawn = np.random.default_rng(0).choice([-1.0, 1.0], size=(NUM_DRAWS, count))
    drawn[0] = 1.0
    return drawn


def _finite(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"scores {list(values)}: give at least one, all of them finite")
    return array
