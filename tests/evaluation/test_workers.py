"""fairy/evaluation/workers.py."""

from __future__ import annotations

import os

import pytest

from fairy.errors import SettingsError
from fairy.evaluation.workers import working


def scaled(factor: int, item: int) -> tuple[int, int]:
    if item < 0:
        raise SettingsError("below 0")
    return factor * item, os.getpid()


def test_one_worker_works_here_and_only_when_asked():
    with working(3) as each:
        results = each(scaled, iter([1, -1]))
        assert next(results) == (3, os.getpid())
        with pytest.raises(SettingsError):
            next(results)


def test_several_workers_keep_the_order_and_hand_on_errors():
    with working(3, workers=2) as each:
        results = list(each(scaled, range(8)))
        with pytest.raises(SettingsError, match="below 0"):
            list(each(scaled, [-1]))
    assert [value for value, _ in results] == [3 * i for i in range(8)]
    assert os.getpid() not in {process for _, process in results}
