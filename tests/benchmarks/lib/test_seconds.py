"""benchmarks/lib/seconds.py: processor time is that of this process only."""

from __future__ import annotations

import time

import torch

from benchmarks.lib.seconds import Seconds


def test_sleep_takes_time_but_no_processor():
    began = Seconds.now()
    time.sleep(0.05)
    took = Seconds.now() - began
    assert took.wall >= 0.05 > took.cpu


def test_ratios_on_a_cpu_use_its_own_time():
    assert Seconds(2.0, 0.5).on(torch.device("cpu")) == 0.5
    assert Seconds(2.0, 0.5).on(torch.device("cuda")) == 2.0


def test_spans_add_and_multiply_in_both_clocks():
    assert Seconds(1.0, 0.5).times(3).and_then(Seconds(2.0, 0.25)) == Seconds(5.0, 1.75)
