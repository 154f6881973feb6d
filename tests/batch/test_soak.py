"""Workers killed at random moments: nothing is lost, and a kill costs at most one segment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.batch.soak import Round
from tests.jobs.worker import segments_redone


@pytest.mark.cluster
@pytest.mark.forks
def test_a_kill_costs_at_most_one_segment(tmp_path: Path):
    one = Round(tmp_path, seed=1, num_jobs=20)
    one.run_with_kills(10)
    assert one.kinds == {"kill": 10}
    one.check({})
    assert one.num_redone <= 10


def test_redone_segments_are_counted(tmp_path: Path):
    begun = tmp_path / "begun.txt"
    # Segments have 5 frames: two of the first are begun again, one of the second twice
    numbers = [0, 1, 2, 3, 0, 1, 7, 7, 7, 12]
    begun.write_text("".join(f"a.mp4.fairy {number}\n" for number in numbers) + "b.mp4.fairy 0\n")
    assert segments_redone(begun) == 1 + 2
