"""A signal waits for what is in work, a second one does not."""

from __future__ import annotations

import signal

import pytest

from fairy.errors import JobInterrupted
from fairy.jobs.stopping import Stopping

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_a_signal_waits_for_the_end_of_the_block(number: signal.Signals):
    finished = False
    with (
        Stopping() as stopping,
        pytest.raises(JobInterrupted) as interrupt,
        stopping.finishing(),
    ):
        signal.raise_signal(number)
        finished = True
    assert finished
    assert interrupt.value.signal_number == number


@BOTH
def test_a_second_signal_does_not_wait(number: signal.Signals):
    with Stopping() as stopping, pytest.raises(JobInterrupted), stopping.finishing():
        signal.raise_signal(number)
        signal.raise_signal(number)
        pytest.fail("went on")


@BOTH
def test_outside_the_block_a_signal_ends_at_once(number: signal.Signals):
    with Stopping(), pytest.raises(JobInterrupted):
        signal.raise_signal(number)
        pytest.fail("went on")


def test_signals_are_handled_as_before_in_the_end():
    before = signal.getsignal(signal.SIGTERM)
    with Stopping():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
