"""fairy/metrics/flow.py: estimated flow against flow that is known."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import Tensor

from fairy.errors import ModelError, SettingsError
from fairy.metrics.flow import RAFT_LEAST_PX, estimate_flow, raft_between, seen_both_ways
from fairy.metrics.temporal import warp_error
from fairy.synthetic.backgrounds import smooth_noise
from fairy.synthetic.moving_scenes import Clip


@pytest.fixture(scope="module")
def pan() -> Tensor:
    """Give a picture that moves 3 px right and 1 px down with every frame, (4,3,64,80)."""
    wide = smooth_noise((1, 3), (80, 100), torch.Generator().manual_seed(0))
    return torch.cat([wide[:, :, 10 - t : 74 - t, 15 - 3 * t : 95 - 3 * t] for t in range(4)])


def test_pan_is_found(pan: Tensor) -> None:
    flow, visible = estimate_flow(pan)
    assert flow.shape == (3, 2, 64, 80)
    motion = flow.permute(1, 0, 2, 3)[:, visible].median(1).values
    assert torch.allclose(motion, torch.tensor([3.0, 1.0]), atol=0.1)


def test_what_leaves_the_picture_is_not_visible(pan: Tensor) -> None:
    _, visible = estimate_flow(pan)
    assert not visible[:, :, -2:].any()
    assert visible[:, 8:-8, 8:-8].float().mean() > 0.95


def test_still_clip_has_no_flow(still: Tensor) -> None:
    flow, visible = estimate_flow(still)
    assert flow.abs().amax() < 0.01
    assert visible.all()


def test_rendered_motion_is_found(rendered: Clip) -> None:
    flow, visible = estimate_flow(rendered.frames)
    error = (flow - rendered.flow).norm(dim=1)[visible & rendered.visible]
    assert error.median() < 0.5


def test_estimated_flow_gives_about_the_exact_warp_error(rendered: Clip) -> None:
    frames = rendered.frames.clone()
    frames[::2] = (frames[::2] + 0.1).clamp(0, 1)
    exact = warp_error(frames, rendered.flow, rendered.visible)
    assert warp_error(frames, *estimate_flow(rendered.frames)) == pytest.approx(exact, rel=0.3)


def test_one_pair_does_not_depend_on_the_others(pan: Tensor) -> None:
    whole, _ = estimate_flow(pan)
    alone, _ = estimate_flow(pan[1:3])
    assert torch.allclose(whole[1:2], alone, atol=1e-5)


def test_flow_that_does_not_lead_home_is_not_visible() -> None:
    forward, backward = torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)
    forward[:, 0, :, :4] = 2.0
    assert seen_both_ways(forward, backward)[0, :, 4:].all()
    assert not seen_both_ways(forward, backward)[0, :, :4].any()


def test_unknown_method_is_refused(pan: Tensor) -> None:
    with pytest.raises(SettingsError, match="use dis, raft"):
        estimate_flow(pan, "farneback")


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="it is there")
def test_raft_without_torchvision_says_what_is_missing(pan: Tensor) -> None:
    with pytest.raises(ModelError, match="needs torchvision"):
        estimate_flow(pan, "raft")


class _Raft(torch.nn.Module):
    """Stands in for RAFT: takes what RAFT takes, answers with the first frame's red and green."""

    def forward(self, first: Tensor, second: Tensor) -> list[Tensor]:
        assert all(side % 8 == 0 and side >= RAFT_LEAST_PX for side in first.shape[2:])
        assert first.shape == second.shape and first.amin() < 0
        return [torch.zeros(1), first[:, :2]]


def test_raft_gets_frames_of_a_size_it_takes_and_flow_is_cut_back(pan: Tensor) -> None:
    small = pan[:, :, :61, :77]
    flow = raft_between(_Raft())(small[:-1], small[1:])
    assert torch.allclose(flow, small[:-1, :2] * 2 - 1)
