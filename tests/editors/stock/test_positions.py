"""Moved keys are those that the model itself makes for moved tokens, in every family with RoPE."""

from __future__ import annotations

import pytest
import torch

from fairy.anchors.positions import anchor_offset, rotate
from fairy.editors.base import EditInput
from fairy.errors import SettingsError
from tests.editors.stock.conftest import SIZE, begin, distance, edited

WITH_IDS = ("kontext", "klein", "flux2", "longcat", "fibo")
BY_SHAPE = ("qwen", "qwen-plus", "joy", "joy-plus")


def first_keys(editor, frame, move=None):
    """Return the image's keys in the first layer, with the ids of its tokens moved by `move`."""
    seen = []

    class Noting:
        strength = 0

        def begin_step(self, run):
            pass

        def attend(self, run, stock, qkv, mask, scale):
            place = editor.family.place(qkv[0].shape[1], run.num_text, SIZE)
            seen.append(qkv[1][:, place])
            return stock(*qkv, mask)

    def moved(module, args, kwargs):
        ids = kwargs["img_ids"].clone().float()
        ids[..., : editor.family.num_tokens(SIZE), : len(move)] += torch.tensor(move).float()
        return args, kwargs | {"img_ids": ids}

    with begin(editor, [frame], [0]) as session, session._hooks():
        session._sharing = Noting()
        if move is None:
            session._one("frame", frame)
        else:
            with editor.denoiser.register_forward_pre_hook(moved, with_kwargs=True):
                session._one("frame", frame)
    return seen[0]


@pytest.mark.parametrize("position", ["shift", "source"])
@pytest.mark.parametrize("family", WITH_IDS)
def test_rotated_keys_are_those_of_moved_ids(make_editor, frames, family, position):
    editor = make_editor(family)
    rope = editor.family.rope(editor.denoiser.config)
    offset = anchor_offset(rope, position, 1, SIZE[1] // editor.family.token_px)
    assert any(offset)
    moved = rotate(first_keys(editor, frames[0]), rope, offset)
    assert distance(moved, first_keys(editor, frames[0], offset)) < 1e-5


@pytest.mark.parametrize("family", BY_SHAPE)
def test_one_picture_further_is_one_step_on_the_plane(make_editor, family):
    editor = make_editor(family)
    rope = editor.family.rope(editor.denoiser.config)
    k = torch.randn(1, 16, 1, sum(rope.axes))
    target, source = turned_by_model(editor, k)
    torch.testing.assert_close(rotate(target, rope, (1, 0, 0)), source, atol=1e-5, rtol=1e-4)


def turned_by_model(editor, k):
    """Return keys (1,16,1,D) turned for the target and for its source, both of 4x4 tokens."""
    from diffusers.models.transformers import transformer_joyimage, transformer_qwenimage

    denoiser = editor.denoiser
    if hasattr(denoiser, "pos_embed"):
        turns = denoiser.pos_embed([[(1, 4, 4), (1, 4, 4)]], max_txt_seq_len=1, device=k.device)[0]
        apply = transformer_qwenimage.apply_rotary_emb_qwen
        return [apply(k, part, use_real=False) for part in turns.chunk(2)]
    cos, sin = (
        denoiser.get_rotary_pos_embed([2, 4, 4])[0]
        if hasattr(denoiser, "get_rotary_pos_embed")
        else denoiser._get_rotary_pos_embed_for_range((0, 0, 0), (2, 4, 4))
    )
    apply = transformer_joyimage._apply_rotary_emb
    halves = zip(cos.chunk(2), sin.chunk(2), strict=True)
    return [apply(k, k, half)[1] for half in halves]


@pytest.mark.parametrize("position", ["shift", "source", "damp"])
def test_a_position_changes_other_frames_alone(make_editor, frames, position):
    editor = make_editor("klein")
    same = edited(editor, frames, [1], [0, 1])
    moved = edited(editor, frames, [1], [0, 1], anchor_position=position)
    assert torch.equal(moved[1], same[1])
    assert (moved[0] - same[0]).abs().max() > 1e-3


def test_damping_may_change_by_step(make_editor, frames):
    editor = make_editor("klein")
    results = [
        edited(editor, frames, [1], [0], anchor_position="damp", anchor_damping=damping)
        for damping in ((1, 1), (0.2, 1), (0.2, 0.2))
    ]
    assert torch.equal(results[0], edited(editor, frames, [1], [0]))
    assert not torch.equal(results[1], results[2])


def test_a_family_without_positions_refuses(make_editor, frames):
    with pytest.raises(SettingsError, match="no positions"):
        begin(make_editor("sdxl"), frames, [0], anchor_position="shift")


def test_positions_hold_step_by_step(make_editor, frames):
    editor = make_editor("kontext")
    results = []
    for cache in ("whole", "step"):
        settings = {"anchor_cache": cache, "anchor_position": "source", "frame_batch_size": 1}
        with begin(editor, frames, [1, 3], **settings) as session:
            results.append(session.edit_tensors([EditInput(0, frames[0])]))
    assert torch.equal(*results)
