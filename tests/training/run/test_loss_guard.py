"""A lost loss is noticed, an unlucky batch is not."""

from __future__ import annotations

import math

import pytest

from fairy.training.run.loss_guard import WARMUP, LossGuard


def complaints(losses: list[float], max_rise: float = 10) -> list[int]:
    """The steps (from 1) at which the guard complains."""
    guard = LossGuard(max_rise)
    return [step for step, loss in enumerate(losses, start=1) if guard.complaint(loss)]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_no_number_is_noticed_at_once(loss: float) -> None:
    assert complaints([1.0, loss]) == [2]


def test_a_loss_that_stays_high_is_noticed_soon() -> None:
    steps = complaints([0.1] * 50 + [30.0] * 10)
    assert steps[0] == 51


def test_one_unlucky_batch_is_let_pass() -> None:
    assert complaints([0.1] * 50 + [3.0] + [0.1] * 50) == []


def test_the_first_steps_may_be_anything() -> None:
    assert complaints([1e-3] + [1.0] * (WARMUP - 2)) == []


def test_a_falling_loss_is_fine() -> None:
    assert complaints([1 / step for step in range(1, 500)]) == []
