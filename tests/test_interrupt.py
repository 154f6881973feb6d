"""A request to stop waits for what is in work; a second signal does not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from fairy.errors import JobInterrupted
from fairy.interrupt import Cancel

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture
def cancel() -> Iterator[Cancel]:
    with Cancel().on_signals() as cancel:
        yield cancel


@BOTH
def test_a_signal_waits_for_the_end_of_what_is_held(cancel: Cancel, number: signal.Signals):
    with cancel.held():
        signal.raise_signal(number)
        finished = True
    with pytest.raises(JobInterrupted) as interrupt:
        cancel.check()
    assert finished
    assert interrupt.value.signal_number == number


@BOTH
def test_a_second_signal_does_not_wait(cancel: Cancel, number: signal.Signals):
    with cancel.held(), pytest.raises(JobInterrupted):
        signal.raise_signal(number)
        signal.raise_signal(number)
        pytest.fail("went on")


@BOTH
def test_outside_of_held_a_signal_ends_at_once(cancel: Cancel, number: signal.Signals):
    with pytest.raises(JobInterrupted):
        signal.raise_signal(number)
        pytest.fail("went on")


def test_the_handlers_from_before_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with Cancel().on_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_another_thread_can_ask():
    cancel = Cancel()
    cancel.check()
    thread = threading.Thread(target=cancel.set)
    thread.start()
    thread.join()
    with pytest.raises(JobInterrupted):
        cancel.check()


def test_in_another_thread_signals_are_left_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with Cancel().on_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
