"""What a driver needs is counted per result, without the start."""

from __future__ import annotations

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'fairy-video[cluster]'")
from benchmarks.speed.ray_driver import row_of


def test_the_start_is_left_out():
    # Ten slow results, then 100 a second with one millisecond of the processor each
    slow = [(float(second), 4.0 * second, 1.0 * second) for second in range(10)]
    fast = [(100 + number / 100, 40 + number * 6e-4, 10 + number * 4e-4) for number in range(90)]
    row = row_of(slow + fast, rate=150)
    assert row["results"] == 89
    assert row["results_per_s"] == pytest.approx(100)
    assert row["cpu_ms_per_result"] == pytest.approx(1)
    assert row["of_it_system_ms"] == pytest.approx(0.4)
    assert row["core_percent"] == pytest.approx(10)
    assert row["core_percent_at_150_per_s"] == pytest.approx(15)
