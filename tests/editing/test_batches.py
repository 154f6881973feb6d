"""Frames at a time: halved when memory runs out, chosen from what is free."""

from __future__ import annotations

import pytest
import torch

from fairy.editing import batches
from fairy.editing.batches import FrameBatches, choose_frame_batch_size, frame_bytes
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


@pytest.mark.parametrize(("free", "expected"), [(0, 1), (10**3, 5), (10**12, 8)])
def test_chosen_from_free_memory(monkeypatch, free, expected):
    monkeypatch.setattr(batches, "free_bytes", lambda device: free)
    assert choose_frame_batch_size(torch.device("cpu"), bytes_per_frame=100) == expected


def test_more_branches_and_pixels_take_more(tiny_pipeline):
    base = frame_bytes(tiny_pipeline, (24, 32), 3)
    assert frame_bytes(tiny_pipeline, (24, 32), 1) < base < frame_bytes(tiny_pipeline, (48, 64), 3)
