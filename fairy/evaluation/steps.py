"""How each part of the method changes the warp error, from single frames to finetuned models.

Own noise for every frame -> the same noise -> anchors -> anchors with a finetuned model. The unit
is the clip: a clip with several edits counts once, with the mean of its logarithms.
Tests: tests/evaluation/test_steps.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fairy.evaluation.results import Case, Results, paired_values
from fairy.evaluation.statistics import RelativeChange, relative_change

# Suffix of the column of the model that was finetuned for as long, but without moving its pictures
CONTROL = "longer training"


@dataclass(frozen=True)
class MethodStep:
    """A method compared with the one it builds on, over the clips that both edited."""

    before: str
    after: str
    change: RelativeChange


def method_steps(results: Results, key: str = "warp_error") -> list[MethodStep]:
    """Return the steps between the methods of an evaluation, in table order.

    Each method up to the reference is compared with the previous one. Later ones, which are other
    models with anchors, are compared with the control if there is one, else with the reference.
    """
    steps = []
    for before, after in compared_pairs(results.methods, results.reference):
        change = change_by_clip(results.of(after), results.of(before), key)
        if change is not None:
            steps.append(MethodStep(before, after, change))
    return steps


def compared_pairs(methods: Sequence[str], reference: str | None) -> list[tuple[str, str]]:
    """Return which methods are compared, as (before, after).

    >>> compared_pairs(["own", "shared", "3 anchors", "tuned"], "3 anchors")
    [('own', 'shared'), ('shared', '3 anchors'), ('3 anchors', 'tuned')]
    """
    if reference is None:
        return []
    last = methods.index(reference)
    pairs = list(pairwise(methods[: last + 1]))
    base = next((name for name in methods[last + 1 :] if name.endswith(CONTROL)), reference)
    for name in methods[last + 1 :]:
        pairs.append((reference if name == base else base, name))
    return pairs


def change_by_clip(after: list[Case], before: list[Case], key: str) -> RelativeChange | None:
    """Return the relative change of a measure; None if no clip has it for both methods."""
    clips: dict[str, tuple[list[float], list[float]]] = {}
    for name in dict.fromkeys(case.clip for case in after):
        values = paired_values(_of_clip(after, name), _of_clip(before, name), key)
        # Still frames have no error, so there is no ratio
        kept = [(a, b) for a, b in zip(*values, strict=True) if a > 0 and b > 0]
        if kept:
            clips[name] = [a for a, _ in kept], [b for _, b in kept]
    if not clips:
        return None
    return relative_change([new for new, _ in clips.values()], [old for _, old in clips.values()])


def means_by_edit(results: Results, key: str) -> dict[str, dict[str, float]]:
    """Return the mean of a measure by edit and method, without edits that were not measured."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for case in results.cases:
        if case.edit and key in case.scores.values:
            values[case.edit][case.method].append(case.scores.values[key])
    return {
        edit: {method: float(np.mean(found)) for method, found in methods.items()}
        for edit, methods in values.items()
    }


def _of_clip(cases: list[Case], name: str) -> list[Case]:
    return [case for case in cases if case.clip == name]
