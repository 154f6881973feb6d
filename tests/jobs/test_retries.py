"""A request that fails is made again; what cannot succeed is not."""

from __future__ import annotations

import pytest

import fairy.jobs.retries
from fairy.jobs.retries import TRIES, retried


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairy.jobs.retries, "FIRST_WAIT_S", 0.0)


class Flaky:
    """Fails some times."""

    def __init__(self, num_failures: int, error: Exception) -> None:
        self.left, self.error, self.num_calls = num_failures, error, 0

    def __call__(self) -> str:
        self.num_calls += 1
        if self.num_calls <= self.left:
            raise self.error
        return "answer"


def test_the_last_try_counts():
    assert retried(Flaky(TRIES - 1, OSError("503"))) == "answer"


@pytest.mark.parametrize("error", [OSError("503"), RuntimeError("a client's own")])
def test_the_last_error_is_raised(error: Exception):
    flaky = Flaky(TRIES, error)
    with pytest.raises(type(error)):
        retried(flaky)
    assert flaky.num_calls == TRIES


@pytest.mark.parametrize("error", [FileNotFoundError("a"), FileExistsError("a"), ValueError("a")])
def test_what_cannot_succeed_is_tried_once(error: Exception):
    flaky = Flaky(1, error)
    with pytest.raises(type(error)):
        retried(flaky)
    assert flaky.num_calls == 1
