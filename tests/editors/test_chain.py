"""Edits one after the other are what the same edits make in two runs."""

from __future__ import annotations

import numpy as np
import pytest

from fairy.editors.base import Anchor, EditInput
from fairy.editors.chain import begin_all
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import InstructionError
from fairy.settings import EditConfig
from tests.tiny import make_frames

FRAMES = make_frames(4, height=12, width=16)
INPUTS = [EditInput(index, frame) for index, frame in enumerate(FRAMES)]
CONFIG = EditConfig(num_inference_steps=1, frame_batch_size=2, seed=3)


@pytest.fixture
def pipe(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


def edit(pipe: FairyPipeline, *prompts: str, frames: np.ndarray = FRAMES):
    anchors = [Anchor(1, frames[1])]
    with begin_all(pipe, prompts, anchors, CONFIG, size=(12, 16)) as session:
        images = session.edit([EditInput(index, frame) for index, frame in enumerate(frames)])
        return images, session.used, session.timing


def test_the_second_edit_takes_the_result_of_the_first(pipe):
    both, used, timing = edit(pipe, "red", "blue")
    first, one_used, one_timing = edit(pipe, "red")
    assert np.array_equal(both, edit(pipe, "blue", frames=first)[0])
    assert not np.array_equal(both, first)
    assert (used.num_inference_steps, one_used.num_inference_steps) == (2, 1)
    assert timing.keys() == one_timing.keys()


def test_a_second_instruction_that_fails_leaves_nothing_open(pipe):
    with pytest.raises(InstructionError):
        edit(pipe, "red", " ")
    assert edit(pipe, "red")[0].shape == FRAMES.shape
