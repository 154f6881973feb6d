"""What must hold for every family, whatever its weights: tiny random models of the real classes.

Latents are compared before the decoder, which is random too and magnifies rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from examples.tiny_editor import FAMILIES
from fairy.editors.base import EditInput
from fairy.editors.stock.editor import StockEditor
from fairy.editors.stock.hooks import Run, attention_layers
from fairy.editors.stock.session import StockSession
from fairy.editors.stock.sharing import AnchorSharing
from tests.editors.stock.conftest import (
    SIZE,
    begin,
    decoded_latents,
    distance,
    edited,
    stock,
)

# Rounding in float32, as a part of the largest value
NOISE = 1e-6
ANCHORS = (1, 3)


@dataclass
class Case:
    """A family's editor and what several tests read: computed once, no test changes it.

    Attributes:
        alone: session whose only anchor is frame 0, and its latents.
        clip: session with two anchors of four frames; latents of the anchors and of frame 0.
        result: of frame 0 in that session.
    """

    editor: StockEditor
    stock: Tensor
    alone: StockSession
    alone_latents: Tensor
    clip: StockSession
    clip_latents: list[Tensor]
    result: Tensor


@pytest.fixture(scope="session")
def make_case(make_editor, frames) -> Callable[[str], Case]:
    @cache
    def make(family: str) -> Case:
        editor = make_editor(family)
        by_itself = stock(editor, frames[0])
        with decoded_latents(editor) as latents:
            alone = begin(editor, frames, [0])
            clip = begin(editor, frames, ANCHORS, anchor_cache="whole", frame_batch_size=1)
            result = clip.edit_tensors([EditInput(0, frames[0])])[0]
        return Case(editor, by_itself, alone, latents[0], clip, latents[1:], result)

    return make


# `make test` has others whose attention is the same; `pytest tests/editors/stock` has all
SIBLINGS = {"cosxl", "klein-base", "qwen", "qwen-2511"}


@pytest.fixture(
    params=[
        pytest.param(family, marks=pytest.mark.slow if family in SIBLINGS else ())
        for family in FAMILIES
    ]
)
def case(request, make_case) -> Case:
    return make_case(request.param)


def test_hooks_without_anchors_give_the_stock_result(case, frames):
    with case.alone._hooks():
        assert torch.equal(case.alone._one("stock", frames[0]), case.stock)


def test_one_anchor_alone_gives_the_stock_result(case):
    assert torch.equal(case.alone._anchors[0], case.stock)


def test_strength_0_gives_the_stock_result(case, frames):
    result = edited(case.editor, frames, [1], [0], anchor_strength=0)
    assert torch.equal(result[0], case.stock)


def test_the_pipeline_is_as_before_afterwards(case, frames):
    assert torch.equal(stock(case.editor, frames[0]), case.stock)


def test_after_an_exception_the_pipeline_is_as_before(case, frames):
    layer = list(attention_layers(case.editor.denoiser).values())[-1]

    def fail(*args):
        raise KeyError("planted")

    with layer.register_forward_hook(fail), pytest.raises(KeyError, match="planted"):
        case.clip.edit_tensors([EditInput(0, frames[0])])
    hooks = [(m._forward_hooks, m._forward_pre_hooks) for m in case.editor.denoiser.modules()]
    assert not any(before or after for before, after in hooks)
    assert torch.equal(stock(case.editor, frames[0]), case.stock)


def test_the_image_is_where_the_noise_is(case, frames, monkeypatch):
    """Before the first attention, noise is in the image's tokens alone, and in all of them."""
    family, found = case.editor.family, []
    attend = AnchorSharing.attend

    def noted(self, run, stock, qkv, *rest):
        if len(found) < 2 and all(self is not other for other, *_ in found):
            found.append((self, qkv[0], family.place(qkv[0].shape[1], run.num_text, SIZE)))
        return attend(self, run, stock, qkv, *rest)

    # Some pipelines draw from it when they encode the source
    monkeypatch.setattr(torch, "manual_seed", lambda seed: None)
    monkeypatch.setattr(AnchorSharing, "attend", noted)
    for seed in (0, 1):
        begin(case.editor, frames, [0], seed=seed)
    (_, first, place), (_, second, _) = found
    differs = ((first - second).abs().amax((0, 2, 3)) > NOISE).tolist()
    assert differs == [place.start <= token < place.stop for token in range(len(differs))]


def test_anchors_change_other_frames(case):
    assert distance(case.clip_latents[-1], case.alone_latents) > 100 * NOISE


def test_anchors_change_each_other(case, frames):
    with decoded_latents(case.editor) as latents:
        begin(case.editor, frames, [1])
    assert distance(latents[0], case.clip_latents[0]) > 100 * NOISE


def test_a_still_clip_gives_the_stock_result(case, frames):
    still = np.stack([frames[0]] * 4)
    with decoded_latents(case.editor) as latents:
        edited(case.editor, still, ANCHORS, [0])
    assert len(latents) == 3
    assert max(distance(one, case.alone_latents) for one in latents) < 1e-5


def test_without_balance_a_still_clip_moves_away(case, frames):
    still = np.stack([frames[0]] * 4)
    with decoded_latents(case.editor) as latents:
        edited(case.editor, still, [1], [0], balance=False)
    moved = distance(latents[1], case.alone_latents)
    # A UNet's self-attention holds image tokens alone
    assert moved < 1e-5 if case.editor.family.tokens == "all" else moved > 1e-4


def test_step_by_step_is_the_whole_cache(case, frames):
    by_step = edited(case.editor, frames, ANCHORS, [0, 1], anchor_cache="step")
    assert torch.equal(by_step[0], case.result)
    assert torch.equal(by_step[1], case.clip._anchors[1])


def test_batches_of_any_size_give_the_same(case, frames):
    with decoded_latents(case.editor) as latents:
        together = edited(case.editor, frames, ANCHORS, [2, 0])
    if case.editor.family.batches:
        assert latents[-1].shape[0] == 2
        assert distance(latents[-1][1:], case.clip_latents[-1]) < 1e-5
    else:
        assert torch.equal(together[1], case.result)


def test_the_same_frame_again_is_the_same(case, frames):
    again = case.clip.edit_tensors([EditInput(0, frames[0])])[0]
    assert torch.equal(again, case.result)


@pytest.mark.parametrize("family", ["sdxl", "kontext"])
def test_anchors_in_lock_step_are_anchors_in_one_batch(make_case, frames, family):
    case = make_case(family)
    sharing = copy.copy(case.clip._sharing)
    run = Run("anchor", SIZE, sharing, numbers=(0, 1), num_frames=2)
    with decoded_latents(case.editor) as latents, case.clip._hooks():
        case.clip._run(run, list(frames[list(ANCHORS)]))
    assert distance(latents[0], torch.cat(case.clip_latents[:2])) < 1e-5
