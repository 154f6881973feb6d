"""The benchmark of key frames measures where it says it does."""

from __future__ import annotations

import pytest
import torch

from benchmarks.quality import keyframes
from benchmarks.quality.keyframes import DISTANCES, KEYS, Case, frames_at, psnr_inside


@pytest.mark.parametrize("count", KEYS)
def test_every_number_of_key_frames_leaves_frames_at_every_distance(count: int):
    for distance in DISTANCES:
        found = frames_at(KEYS[count], distance)
        assert len(found) == keyframes.PER_DISTANCE
        assert all(min(abs(n - key) for key in KEYS[count]) == distance for n in found)


def test_only_the_object_counts():
    source = torch.zeros(1, 3, 20, 20)
    target = source.clone()
    target[..., :10] = 1.0
    case = Case("red", source, target)
    result = target.clone()
    result[..., 10:] = 0.7
    assert psnr_inside(result, case, [0]) == pytest.approx(100)
    result[..., :10] = 0.9
    assert psnr_inside(result, case, [0]) == pytest.approx(20, abs=1e-3)
    assert psnr_inside(source, Case("red", source, source), [0]) is None


def test_still_pictures_are_moved_nowhere():
    grid = torch.rand(1, 3, 192, 256, generator=torch.Generator().manual_seed(0))
    case = Case("red", grid.expand(9, -1, -1, -1), 1 - grid.expand(9, -1, -1, -1))
    moved = keyframes.moved_along(case, (4,), [2, 8])
    assert (moved - case.target[:2]).abs().mean() < 0.01
