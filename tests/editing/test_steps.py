"""What each step computes: guidance in an interval, lower levels in every n-th step."""

from __future__ import annotations

import pytest

from fairy.config import EXACT, Shortcuts
from fairy.editing.guidance import Guidance
from fairy.editing.steps import plan_steps

THREE = Guidance(7.5, 1.5)


def num_groups(num_steps: int, first: float, end: float) -> list[int]:
    plan = plan_steps(num_steps, THREE, Shortcuts(guidance_interval=(first, end)))
    return [step.guidance.num_groups for step in plan]


def test_without_shortcuts_every_step_computes_everything():
    assert all(s.guidance == THREE and not s.reuses for s in plan_steps(5, THREE, EXACT))


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.0, 0.5), [3, 3, 1, 1]),
        ((0.25, 0.75), [1, 3, 3, 1]),
        ((0.5, 1.0), [1, 1, 3, 3]),
        ((0.0, 0.1), [1, 1, 1, 1]),
    ],
)
def test_interval_counts_fractions_of_the_steps(interval, expected):
    assert num_groups(4, *interval) == expected


@pytest.mark.parametrize("num_steps", [10, 50, 100])
@pytest.mark.parametrize("part", [0.07, 0.29, 0.55, 0.57, 0.7])
def test_two_intervals_that_meet_share_no_step_and_miss_none(num_steps, part):
    before = [groups == 3 for groups in num_groups(num_steps, 0.0, part)]
    after = [groups == 3 for groups in num_groups(num_steps, part, 1.0)]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert abs(sum(before) - part * num_steps) <= 0.5


def test_lower_levels_are_computed_in_every_nth_step():
    reuses = [step.reuses for step in plan_steps(7, THREE, Shortcuts(reuse=3))]
    assert reuses == [False, True, True, False, True, True, False]


def test_a_step_with_branches_that_were_not_computed_reuses_nothing():
    shortcuts = Shortcuts(guidance_interval=(0.5, 1.0), reuse=4)
    plan = plan_steps(6, THREE, shortcuts)
    assert [s.guidance.num_groups for s in plan] == [1, 1, 1, 3, 3, 3]
    assert [s.reuses for s in plan] == [False, True, True, False, False, True]
