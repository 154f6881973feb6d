"""fairy/analysis/watching.py: any editor's attention to the anchors is seen, and can be changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from examples.tiny_editor import make_tiny_editor
from fairy.analysis.anchor_transfer import anchor_transfer
from fairy.analysis.attention_maps import PointAttention, attend_from_points
from fairy.analysis.watching import watched
from fairy.anchors.attention_hooks import Attended
from fairy.editors.base import Anchor, EditInput
from fairy.editors.stock.editor import StockEditor
from fairy.editors.stock.hooks import attention_layers
from fairy.models.defaults import ModelDefaults
from fairy.settings import EditConfig
from tests.tiny import make_frames

# Each a place of the image in the sequence, and an order of the guidance branches
FAMILIES = ("kontext", "klein-base", "sdxl", "controlnet")
POINTS = torch.tensor([[3.0, 4.0], [40.0, 50.0]])
STEPS = 1
SIZE = (64, 64)


@pytest.fixture(scope="module", params=FAMILIES)
def editor(request) -> StockEditor:
    pipe = make_tiny_editor(request.param)
    defaults = StockEditor(pipe).defaults
    short = ModelDefaults(
        size=64,
        num_inference_steps=STEPS,
        guidance_scale=defaults.guidance_scale,
        image_guidance_scale=defaults.image_guidance_scale,
        scheduler=None,
    )
    return StockEditor(pipe, defaults=short)


@pytest.fixture(scope="module")
def frames() -> Tensor:
    """Four frames (4,3,64,64), the third like the first."""
    frames = torch.from_numpy(make_frames(4, *SIZE)).permute(0, 3, 1, 2) / 255
    frames[2] = frames[0]
    return frames


def test_each_frame_step_and_layer_is_seen_once(editor, frames):
    seen: list[PointAttention] = []
    queries = dict.fromkeys([0, 2], POINTS)
    attend_from_points(editor, frames, queries, seen.append, anchor_indices=[1, 3])
    layers = len(attention_layers(editor.denoiser))
    assert (
        len({(one.frame, one.step, one.layer) for one in seen}) == len(seen) == 2 * STEPS * layers
    )
    finest = editor.family.finest_grid(SIZE)
    for one in seen:
        points, anchors, rows, columns = one.maps.shape
        assert (points, anchors) == (2, 2)
        assert finest[0] // rows == finest[1] // columns in (1, 2)
        # With the frame's own tokens, text and source
        assert 0 < one.maps.sum((1, 2, 3)).max() < 1
    first, again = (
        torch.cat([one.maps.flatten() for one in seen if one.frame == frame]) for frame in (0, 2)
    )
    assert torch.equal(first, again)


def test_a_frame_like_its_anchor_gives_it_what_it_gives_itself(editor, frames):
    shares = []
    attend_from_points(
        editor, frames, {2: POINTS}, lambda one: shares.append(one.maps.sum((1, 2, 3))),
        anchor_indices=[0],
    )  # fmt: skip
    half = torch.stack(shares)
    if editor.family.tokens == "all":
        assert torch.allclose(half, torch.full_like(half, 0.5), atol=1e-4)
    else:
        assert half.max() < 0.5


def test_the_text_s_branch_is_the_one_that_the_instruction_changes(editor, frames):
    """Text is what the instruction alone decides; the other branches see the empty text."""
    by_prompt = [_by_branch(editor, frames, prompt) for prompt in ("make it snow", "a red car")]
    moved = [float((a - b).abs().max()) for a, b in zip(*by_prompt, strict=True)]
    branches = _branches(editor, frames)
    text = branches.index(True)
    assert moved[text] > 100 * max([1e-7, *(m for i, m in enumerate(moved) if i != text)])


@pytest.mark.parametrize("editor", ["kontext"], indirect=True)
def test_changes_of_values_show_in_the_frames(editor, frames):
    assert 0.01 < anchor_transfer(editor, frames[:2], "snow", num_anchors=1) < 2
    assert anchor_transfer(editor, frames[:2], "snow", num_anchors=1, anchor_strength=0) == 0


def test_looking_changes_nothing(editor, frames):
    anchors, config = [Anchor(1, frames[1] * 2 - 1)], EditConfig()
    inputs = [EditInput(0, frames[0] * 2 - 1)]
    with editor.begin("snow", anchors, config, size=SIZE) as session:
        alone = session.edit_tensors(inputs)
    with watched(editor, "snow", anchors, config, lambda one: one, size=SIZE) as session:
        assert torch.equal(session.edit_tensors(inputs), alone)
    changed = lambda one: replace(one, anchors=one.anchors._replace(v=0 * one.anchors.v))  # noqa: E731
    with watched(editor, "snow", anchors, config, changed, size=SIZE) as session:
        assert not torch.equal(session.edit_tensors(inputs), alone)


def _seen(editor: StockEditor, frames: Tensor, prompt: str) -> list[Attended]:
    """Return the first layer's attention in the first step of a frame, call by call."""
    seen: list[Attended] = []
    anchors, config = [Anchor(1, frames[1] * 2 - 1)], EditConfig(num_inference_steps=1)
    with watched(
        editor, prompt, anchors, config, lambda one: seen.append(one) or one, size=SIZE
    ) as session:
        session.edit_tensors([EditInput(0, frames[0] * 2 - 1)])
    last = seen[-1].layer
    return [one for one in seen if one.layer == last]


def _by_branch(editor: StockEditor, frames: Tensor, prompt: str) -> list[Tensor]:
    return [row for one in _seen(editor, frames, prompt) for row in one.q]


def _branches(editor: StockEditor, frames: Tensor) -> list[bool]:
    """Return for each guidance branch whether it is said to follow the instruction."""
    calls = _seen(editor, frames, "make it snow")
    return [row == one.text_branch for one in calls for row in range(len(one.q))]
