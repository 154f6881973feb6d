"""Results as table rows and sentences, for pages, the terminal and comparisons.

Tests: tests/evaluation/test_tables.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fairy.evaluation.measures import Measure, Row
from fairy.evaluation.properties import PROPERTIES
from fairy.evaluation.results import Results, paired_values
from fairy.evaluation.statistics import Estimate, PairedTest, estimate_mean, holm

SIGNIFICANT = 0.05
# The source, shown next to a single edit: a perfectly steady clip with the same motion
UNEDITED = "the source itself"
Verdict = Literal["better", "worse", "differs", "no clear difference"]


@dataclass(frozen=True)
class Cell:
    """A method's mean as text, a dash if not measured; `best` only in rows with a direction."""

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Tested:
    """A method compared with another by one measure.

    Attributes:
        measure: the measure.
        method: the first method.
        other: the second method.
        test: test of first minus second.
        p: the test's p value, corrected for all tests together (Holm).
    """

    measure: Measure
    method: str
    other: str
    test: PairedTest
    p: float

    @property
    def verdict(self) -> Verdict:
        """The test's verdict on the first method."""
        if self.p >= SIGNIFICANT:
            return "no clear difference"
        if self.measure.better == "neither":
            return "differs"
        lower = self.test.difference.mean < 0
        return "better" if lower == (self.measure.better == "lower") else "worse"

    @property
    def wins(self) -> int:
        """Number of clips in which the first is better, or smaller if no direction is good."""
        higher = self.measure.better == "higher"
        return self.test.larger if higher else self.test.smaller

    @property
    def difference(self) -> str:
        """The mean difference as text, scaled, with its sign."""
        return show(self.measure, self.test.difference.mean, sign="+")


def show(measure: Row, value: float, sign: str = "") -> str:
    """Return a value scaled and rounded; "+" for `sign` always shows the sign."""
    return f"{value * measure.scale:{sign}.{measure.digits}f}".replace("-", "−")


def show_interval(measure: Row, estimate: Estimate, sign: str = "") -> str:
    """Return "low to high", or nothing for a single clip."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{show(measure, estimate.low, sign)} to {show(measure, estimate.high, sign)}"


def summary(results: Results) -> list[tuple[Measure, list[Cell]]]:
    """Return a row per measure, with a cell per method."""
    return [(measure, _cells(results, measure)) for measure in results.measures]


def model_table(results: Results) -> tuple[list[str], list[tuple[Row, list[Cell]]]]:
    """Return the models whose properties were measured, and a row per property."""
    models = list(dict.fromkeys(case.method for case in results.properties))
    rows = []
    for row in PROPERTIES if models else ():
        estimates = [results.property_of(model, row.key) for model in models]
        cells = [
            Cell(show(row, e.mean), show_interval(row, e)) if e else Cell("–") for e in estimates
        ]
        rows.append((row, cells))
    return models, rows


def reference_tests(results: Results) -> list[Tested]:
    """Test the reference against every other method, for every measure with a good direction."""
    if results.reference is None:
        return []
    pairs = [
        (measure, other, results.test(results.reference, other, measure.key))
        for other in results.methods
        if other != results.reference
        for measure in results.measures
        if measure.better != "neither"
    ]
    made = [(m, results.reference, other, test) for m, other, test in pairs if test]
    return corrected(made)


def corrected(tests: list[tuple[Measure, str, str, PairedTest]]) -> list[Tested]:
    """Return the tests with p values corrected for their number."""
    p_values = holm([test.p for *_, test in tests])
    return [Tested(*rest, p) for rest, p in zip(tests, p_values, strict=True)]


def findings(results: Results) -> list[str]:
    """Return a sentence per test of warp error, and warnings about copies of the source."""
    tests = reference_tests(results)
    found = [_sentence(results, t) for t in tests if t.measure.key == "warp_error"]
    for method in results.methods:
        cases = results.of(method)
        copies = sum(case.scores.hardly_edited for case in cases)
        if copies and method != UNEDITED:
            which = "the clip is" if len(cases) == 1 else f"{copies} of {len(cases)} clips are"
            found.append(
                f"{method}: {which} hardly edited, little more than a copy of the source, which "
                "is steady anyway."
            )
    return found


def show_p(p: float) -> str:
    """Return "p = 0.012", or "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _sentence(results: Results, tested: Tested) -> str:
    measure, count = tested.measure, tested.test.difference.count
    verdict = {"better": "steadier", "worse": "less steady"}.get(tested.verdict, tested.verdict)
    own, other = paired_values(results.of(tested.method), results.of(tested.other), measure.key)
    means = [show(measure, estimate_mean(values).mean) for values in (own, other)]
    return (
        f"{tested.method} against {tested.other}: {verdict}. {measure.label} {means[0]} instead of "
        f"{means[1]} {measure.unit}, lower in {tested.wins} of {count} clips ({show_p(tested.p)})."
    )


def _cells(results: Results, measure: Measure) -> list[Cell]:
    estimates = [results.estimate(method, measure.key) for method in results.methods]
    means = [estimate.mean for estimate in estimates if estimate]
    wanted = {"lower": min(means), "higher": max(means), "neither": None}[measure.better]
    ranked = results.reference is not None
    return [
        Cell("–")
        if estimate is None
        else Cell(
            show(measure, estimate.mean),
            show_interval(measure, estimate),
            best=ranked and estimate.mean == wanted,
        )
        for estimate in estimates
    ]
