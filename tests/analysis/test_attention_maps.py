"""fairy/analysis/attention_maps.py: maps whose weights are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fairy.analysis.attention_maps import (
    PointAttention,
    attend_from_points,
    attention_to_anchors,
    centres_of,
    short_name,
    token_grid,
    tokens_of,
)
from fairy.anchors.attention import self_attention_layers
from fairy.anchors.attention_hooks import Attended
from fairy.anchors.parts import Part
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.models.defaults import ModelDefaults
from tests.tiny import make_frames, make_tiny_pipeline

POINTS = torch.tensor([[3.0, 4.0], [20.0, 15.0]])


@pytest.fixture(scope="module")
def pipe() -> FairyPipeline:
    pipe = FairyPipeline.from_pipe(make_tiny_pipeline())
    pipe.defaults = ModelDefaults(size=32, num_inference_steps=2)
    return pipe


@pytest.fixture(scope="module")
def frames() -> Tensor:
    """Give 4 frames (4,3,24,32), the third like the first."""
    frames = torch.from_numpy(make_frames(4)).permute(0, 3, 1, 2) / 255
    frames[2] = frames[0]
    return frames


def look(pipe: FairyPipeline, frames: Tensor, asked: list[int], anchors: list[int]):
    seen: list[PointAttention] = []
    queries = dict.fromkeys(asked, POINTS)
    attend_from_points(pipe, frames, queries, seen.append, anchor_indices=anchors)
    return seen


def test_each_frame_step_and_layer_is_shown_once(pipe, frames):
    seen = look(pipe, frames, [0, 2, 3], [1])
    layers = len(self_attention_layers(pipe.unet))
    assert len({(one.frame, one.step, one.layer) for one in seen}) == len(seen) == 3 * 2 * layers


def test_maps_have_the_layers_grids(pipe, frames):
    shapes = {one.maps.shape for one in look(pipe, frames, [0], [1, 3])}
    assert shapes == {(2, 2, 12, 16), (2, 2, 6, 8)}


def test_frame_like_its_anchor_gives_it_half_of_its_attention(pipe, frames):
    """Own and anchor's keys are equal then; with another frame in the batch, rows stay apart."""
    for one in look(pipe, frames, [1, 2], [0]):
        given = one.maps.sum((1, 2, 3))
        alike = torch.allclose(given, torch.full((2,), 0.5), atol=1e-4)
        assert alike == (one.frame == 2)


def test_points_in_an_anchor_are_refused(pipe, frames):
    with pytest.raises(ValueError, match="frame 1 is an anchor"):
        look(pipe, frames, [0, 1], [1])


def test_token_with_the_same_key_is_found():
    """Keys of the anchor are those of the frame, moved by two tokens."""
    keys = 20 * torch.eye(12)[None, :, None]
    own, anchors = (Part(k, k) for k in (0 * keys, keys.roll(2, dims=1)))
    attended = Attended(0, "layer", keys, own, anchors)
    weights = attention_to_anchors(attended, 0, torch.tensor([0, 5, 11]))
    assert weights.argmax(1).tolist() == [2, 7, 1]
    assert (weights.amax(1) > 0.9).all()


def test_heads_are_averaged_after_the_softmax():
    """One head is sure of token 3, another nearly indifferent with a bent for token 1."""
    q = torch.zeros(1, 1, 2, 4)
    q[..., 0] = 1
    k_anchor = torch.zeros(1, 4, 2, 4)
    k_anchor[0, 3, 0, 0], k_anchor[0, 1, 1, 0] = 30, 1
    own = torch.full_like(q, -100.0)
    attended = Attended(0, "layer", q, Part(own, own), Part(k_anchor, k_anchor))
    weights = attention_to_anchors(attended, 0, torch.tensor([0]))
    flat = torch.tensor([1.0, torch.tensor(0.5).exp(), 1.0, 1.0])
    expected = (torch.tensor([0, 0, 0, 1.0]) + flat / flat.sum()) / 2
    assert torch.allclose(weights[0], expected, atol=1e-4)


@pytest.mark.parametrize(
    "num_tokens, shape", [(35, (5, 7)), (12, (3, 4)), (4, (2, 2)), (1, (1, 1))]
)
def test_grid_is_a_halving_of_the_latents(num_tokens, shape):
    assert token_grid(num_tokens, (5, 7)) == shape


def test_tokens_of_another_picture_are_refused():
    with pytest.raises(ValueError, match="halving the grid"):
        token_grid(13, (5, 7))


def test_centres_lie_in_their_tokens():
    tokens = torch.arange(12)
    centres = centres_of(tokens, (3, 4), (24, 40))
    assert centres[0].tolist() == [4.5, 3.5]
    assert tokens_of(centres, (3, 4), (24, 40)).tolist() == tokens.tolist()


def test_corner_pixels_belong_to_corner_tokens():
    corners = torch.tensor([[0.0, 0.0], [39.0, 0.0], [0.0, 23.0], [39.0, 23.0]])
    assert tokens_of(corners, (3, 4), (24, 40)).tolist() == [0, 3, 8, 11]


def test_short_names_differ(pipe):
    names = list(self_attention_layers(pipe.unet))
    assert len({short_name(name) for name in names}) == len(names)
