"""Guidance in a part of the steps: which steps, and what is left of them outside."""

from __future__ import annotations

import pytest

from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.levers.base import Step
from fairy.editors.ip2p.levers.guidance_interval import GuidanceInterval, guided_steps

THREE = Guidance(7.5, 1.5)


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
    lever = GuidanceInterval(interval)
    steps = [lever.at_step(Step(index, 4, THREE)) for index in range(4)]
    assert [step.guidance.num_groups for step in steps] == expected


@pytest.mark.parametrize("num_steps", [10, 50, 100])
@pytest.mark.parametrize("part", [0.07, 0.29, 0.55, 0.57, 0.7])
def test_two_intervals_that_meet_share_no_step_and_miss_none(num_steps, part):
    before, after = guided_steps(num_steps, (0.0, part)), guided_steps(num_steps, (part, 1.0))
    assert [*before, *after] == list(range(num_steps))
    assert abs(len(before) - part * num_steps) <= 0.5
