"""benchmarks/lib/ways.py: the other methods' attention does what it is named for."""

from __future__ import annotations

import pytest
import torch

from benchmarks.lib.ways import (
    JointAttnProcessor,
    alone,
    edit_jointly,
    edit_with_first_frame,
    self_attention_by,
)
from tests.tiny import make_frames

SETTINGS = {"num_inference_steps": 2, "guidance_scale": 3.0, "image_guidance_scale": 1.5}
ROUNDING = 1e-3
WORDS = "make it snow"


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.from_numpy(make_frames(4, 32, 32)).permute(0, 3, 1, 2) / 255


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize("edit", [edit_jointly, edit_with_first_frame])
def test_alone_in_a_batch_a_frame_is_edited_as_diffusers_does(pipe, frames, edit):
    assert (
        far(
            edit(pipe, frames[:1], WORDS, 2, **SETTINGS),
            alone(pipe, frames[:1], WORDS, 1, **SETTINGS),
        )
        < ROUNDING
    )


@pytest.mark.parametrize("edit", [edit_jointly, edit_with_first_frame])
def test_copies_of_one_frame_give_its_own_edit(pipe, frames, edit):
    still = frames[:1].repeat(4, 1, 1, 1)
    plain = alone(pipe, still, WORDS, 4, **SETTINGS)
    assert far(edit(pipe, still, WORDS, 2, **SETTINGS), plain) < ROUNDING


def test_first_frame_acts_on_every_batch_and_others_on_none(pipe, frames):
    before = edit_with_first_frame(pipe, frames, WORDS, 2, **SETTINGS)
    changed = frames.clone()
    changed[2] = 1 - changed[2]
    after = edit_with_first_frame(pipe, changed, WORDS, 2, **SETTINGS)
    assert far(after[[0, 1, 3]], before[[0, 1, 3]]) < ROUNDING
    changed[0] = 1 - changed[0]
    assert far(edit_with_first_frame(pipe, changed, WORDS, 2, **SETTINGS)[3], before[3]) > ROUNDING


def test_joint_attention_reaches_its_own_batch_only(pipe, frames):
    before = edit_jointly(pipe, frames, WORDS, 2, **SETTINGS)
    changed = frames.clone()
    changed[3] = 1 - changed[3]
    after = edit_jointly(pipe, changed, WORDS, 2, **SETTINGS)
    assert far(after[:2], before[:2]) < ROUNDING < far(after[2], before[2])


def test_processors_are_put_back_also_after_an_error(pipe):
    before = dict(pipe.unet.attn_processors)
    with pytest.raises(KeyError), self_attention_by(pipe.unet, lambda: JointAttnProcessor(3)):
        assert pipe.unet.attn_processors != before
        raise KeyError
    assert pipe.unet.attn_processors == before
