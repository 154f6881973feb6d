"""Frames at a time: halved when memory runs out, chosen from what is free."""

from __future__ import annotations

import pytest
import torch

from fairy.editors.batches import EditMemory, FrameBatches, choose_frame_batch_size
from fairy.errors import SettingsError


def work_with_room_for(num_frames: int):
    seen = []

    def work(rows: torch.Tensor) -> torch.Tensor:
        seen.append(rows.shape[0])
        if rows.shape[0] > num_frames:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return rows + 1

    return work, seen


def test_out_of_memory_halves_and_tries_again(caplog):
    work, seen = work_with_room_for(3)
    rows = torch.arange(10)
    frame_batches = FrameBatches(8)
    assert torch.equal(frame_batches.run(rows, work), rows + 1)
    assert seen == [8, 4, 2, 2, 2, 2, 2]
    assert frame_batches.size == 2
    assert "out of memory with 8 frames" in caplog.text


def test_out_of_memory_with_one_frame_says_what_to_do():
    work, _ = work_with_room_for(0)
    with pytest.raises(SettingsError, match="one frame at a time"):
        FrameBatches(4).run(torch.arange(4), work)


def test_other_errors_pass():
    def work(rows: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        FrameBatches(4).run(torch.arange(4), work)


MEMORY = EditMemory(cache=500, held=500, anchors=700, frame=100)


@pytest.mark.parametrize(
    ("device_type", "free", "expected"),
    [
        ("cpu", 0, 1),
        ("cpu", 2 * 1050, 5),
        ("cpu", 10**12, 8),
        ("cuda", 1200, 5),
        ("mps", 10**12, 32),
    ],
)
def test_as_many_frames_as_fit_beside_the_anchors(device_type, free, expected):
    assert choose_frame_batch_size(device_type, free, MEMORY) == expected
