"""Compare two evaluations of the same clips: what became significantly better or worse.

Tests: tests/evaluation/test_compare.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fairy.errors import SettingsError
from fairy.evaluation.measures import MEASURES
from fairy.evaluation.results import Results, paired_values
from fairy.evaluation.statistics import paired_test
from fairy.evaluation.tables import SIGNIFICANT, Tested, corrected

# Another processor's rounding is not a change, even if it always goes the same way
SMALLEST_CHANGE = 0.01


@dataclass(frozen=True)
class Comparison:
    """The second evaluation compared with the first.

    Attributes:
        changes: by method and measure; `Tested.test` tests after minus before.
        relative: each change, relative to the mean before.
        notes: what could not be compared, and which settings differ.
    """

    changes: list[Tested]
    relative: list[float]
    notes: list[str]

    @property
    def regressions(self) -> list[Tested]:
        """What became significantly worse, by more than `SMALLEST_CHANGE`."""
        return self._moved("worse")

    @property
    def improvements(self) -> list[Tested]:
        """What became better, by the same criteria."""
        return self._moved("better")

    def _moved(self, verdict: str) -> list[Tested]:
        pairs = zip(self.changes, self.relative, strict=True)
        return [c for c, share in pairs if c.verdict == verdict and abs(share) > SMALLEST_CHANGE]


def compare(before: Results, after: Results) -> Comparison:
    """Compare clip by clip and method by method, for the same clips, instructions and seeds.

    Raises:
        SettingsError: no clip was edited with the same method in both.
    """
    tests, relative = [], []
    methods = [method for method in before.methods if method in after.methods]
    for method in methods:
        for measure in MEASURES:
            new, old = paired_values(after.of(method), before.of(method), measure.key)
            if old:
                tests.append((measure, method, "before", paired_test(new, old)))
                relative.append(_share(math.fsum(new), math.fsum(old)))
    if not tests:
        raise SettingsError(
            "the two evaluations have no clip with the same method in common: compare runs of the "
            "same suite or clips"
        )
    changes = corrected(tests)
    return Comparison(changes, relative, [*_differences(before, after), *_power(changes)])


def _share(new: float, old: float) -> float:
    if new == old:
        return 0.0
    return (new - old) / abs(old) if old else math.copysign(math.inf, new)


def _differences(before: Results, after: Results) -> list[str]:
    """Return methods, clips and measures that only one of them has, and changed settings."""
    notes = []
    for what, old, new in (
        ("methods", before.methods, after.methods),
        ("clips", [c.clip for c in before.cases], [c.clip for c in after.cases]),
        ("measures", [m.label for m in before.measures], [m.label for m in after.measures]),
    ):
        gone, added = dict.fromkeys(old).keys() - set(new), dict.fromkeys(new).keys() - set(old)
        if gone:
            notes.append(f"{what} only before: {', '.join(sorted(gone))}")
        if added:
            notes.append(f"{what} only after: {', '.join(sorted(added))}")
    for name in sorted(before.settings.keys() | after.settings.keys()):
        old_value, new_value = before.settings.get(name), after.settings.get(name)
        if old_value != new_value:
            notes.append(f"{name}: {old_value} before, {new_value} after")
    return notes


def _power(changes: list[Tested]) -> list[str]:
    """Return a note when there are too few clips for any change to be significant."""
    clips = max(change.test.difference.count for change in changes)
    needed = math.ceil(math.log2(2 * len(changes) / SIGNIFICANT)) + 1
    if clips >= needed - 1 and 2 / 2**clips * len(changes) < SIGNIFICANT:
        return []
    return [
        f"{clips} clips cannot show a significant change in {len(changes)} rows: "
        f"use {needed} or more"
    ]
