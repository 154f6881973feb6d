"""benchmarks/lib/seconds.py: the processor's time is this process's alone."""

from __future__ import annotations

import time

from benchmarks.lib.seconds import Seconds


def test_sleep_takes_time_but_no_processor():
    began = Seconds.now()
    time.sleep(0.05)
    took = Seconds.now() - began
    assert took.wall >= 0.05 > took.cpu


def test_spans_add_and_multiply_in_both_clocks():
    assert Seconds(1.0, 0.5).times(3).and_then(Seconds(2.0, 0.25)) == Seconds(5.0, 1.75)
