"""fairy/analysis/anchor_transfer.py: 0 where anchors are not used, 1 where nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fairy.analysis.anchor_transfer import anchor_transfer, far_from_anchors
from fairy.anchors.backends import choose_backend, sdpa
from fairy.editors.ip2p.pipeline import FairyPipeline
from tests.tiny import make_frames, make_tiny_pipeline


@pytest.fixture(scope="module")
def pipe() -> FairyPipeline:
    return FairyPipeline.from_pipe(make_tiny_pipeline())


@pytest.fixture(scope="module")
def frames() -> Tensor:
    return torch.from_numpy(make_frames(6)).permute(0, 3, 1, 2) / 255


def transfer(pipe: FairyPipeline, frames: Tensor, attend_anchors=None) -> float:
    backend = choose_backend("sdpa", torch.device("cpu"))
    if attend_anchors is not None:
        backend = replace(backend, attend_anchors=attend_anchors)
    return anchor_transfer(
        pipe, frames, "snow", num_anchors=2, backend=backend, num_inference_steps=2
    )


def test_anchors_are_used(pipe, frames):
    assert 0.05 < transfer(pipe, frames) < 2


def test_unused_anchors_give_zero(pipe, frames):
    assert transfer(pipe, frames, lambda q, k, v, k_anchor, v_anchor: sdpa(q, k, v)) == 0


def test_nothing_but_anchors_gives_one(pipe, frames):
    def only_anchors(q, k, v, k_anchor, v_anchor):
        rows = len(q) // len(k_anchor)
        return sdpa(q, k_anchor.repeat_interleave(rows, 0), v_anchor.repeat_interleave(rows, 0))

    assert transfer(pipe, frames, only_anchors) == pytest.approx(1)


def test_clip_of_anchors_only_is_refused(pipe, frames):
    with pytest.raises(ValueError, match="no frame is far"):
        transfer(pipe, frames[:2])


def test_far_frames_are_the_farther_half():
    assert far_from_anchors(12, [2, 9]) == [0, 4, 5, 6, 7, 11]
