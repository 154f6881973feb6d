"""Calls side by side: one at a time, in the order of who resumes them, and none left behind."""

from __future__ import annotations

import threading

import pytest

from fairy.editors.stock.strands import Strand, pause, round_robin, strands


def work(name: str, log: list[str], steps: int = 2):
    def run() -> str:
        for step in range(steps):
            log.append(f"{name}{step}")
            pause("step")
        return name

    return run


def test_they_take_turns():
    log: list[str] = []
    with strands([work("a", log), work("b", log)]) as made:
        round_robin(made, until="end")
    assert log == ["a0", "b0", "a1", "b1"]
    assert [strand.result for strand in made] == ["a", "b"]


def test_round_robin_stops_where_asked():
    log: list[str] = []
    with strands([work("a", log), work("b", log, steps=0)]) as made:
        round_robin(made, until="step")
        assert log == ["a0"] and made[1].ended and made[0].paused_at == "step"


def test_an_error_reaches_who_resumed():
    def fail():
        pause("step")
        raise KeyError("planted")

    with strands([fail]) as (strand,):
        strand.resume()
        with pytest.raises(KeyError, match="planted"):
            strand.resume()
    assert strand.ended


def test_what_is_left_is_closed_and_cleans_up():
    log: list[str] = []

    def run():
        try:
            pause("step")
            log.append("went on")
        finally:
            log.append("cleaned up")

    before = threading.active_count()
    with strands([run]) as (strand,):
        strand.resume()
    assert log == ["cleaned up"]
    assert threading.active_count() == before


def test_pause_outside_does_nothing():
    pause("step")
    assert not Strand(lambda: None).ended
