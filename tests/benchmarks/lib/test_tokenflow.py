"""benchmarks/lib/tokenflow.py: the schedule's calls are those of the published method."""

from __future__ import annotations

import pytest
import torch

from benchmarks.lib.tokenflow import (
    Propagation,
    Schedule,
    TokenFlowAttnProcessor,
    tokenflow_seconds,
)
from tests.tiny import make_frames

WORDS = "make it snow"


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.from_numpy(make_frames(10, 16, 16)).permute(0, 3, 1, 2) / 255


def test_every_frame_is_inverted_in_one_branch(pipe, frames):
    work = Schedule(pipe, frames, WORDS)
    work.invert(3)
    # Rows of a call: how many calls. 10 frames are batches of 8 and 2
    assert work.num_calls == {8: 3, 2: 3}


def test_every_step_takes_the_pivots_and_then_all_batches_in_three_branches(pipe, frames):
    work = Schedule(pipe, frames, WORDS)
    work.sample(2)
    # Two pivots and the batch of two are 6 rows each
    assert work.num_calls == {3 * 8: 2, 3 * 2: 2 * 2}
    assert torch.isfinite(work.latents).all()


def test_seconds_count_all_inversion_steps_though_few_are_run(pipe, frames):
    few, many = (
        tokenflow_seconds(
            pipe, frames, WORDS, num_inference_steps=1, inversion_steps=n, timed_inversion_steps=1
        )
        for n in (1, 1000)
    )
    assert many.cpu > 20 * few.cpu


def test_batch_that_is_a_pivot_carries_the_pivot_s_own_output():
    processor = TokenFlowAttnProcessor(state=Propagation())
    generator = torch.Generator().manual_seed(0)
    processor.seen = torch.randn(2, 6, 4, generator=generator)
    processor.out = torch.randn(3, 2, 6, 4, generator=generator)
    for pivot in (0, 1):
        carried = processor._carried(processor.seen[pivot][None], pivot)
        assert torch.equal(carried[:, 0], processor.out[:, pivot])
