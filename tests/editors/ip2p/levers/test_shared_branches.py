"""Modules before the first text: computed without the `text` rows, with the same result."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from fairy.anchors.attention import AnchorPass, anchor_attention
from fairy.anchors.backends import choose_backend
from fairy.anchors.cache import AnchorCache
from fairy.editors.ip2p.levers.shared_branches import modules_before_text, shared_branches

CPU = torch.device("cpu")
DOWN = {
    "text in the first block": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "text in the second block": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "self-attention in the first block": ("AttnDownBlock2D", "CrossAttnDownBlock2D"),
    "no text on the way down": ("DownBlock2D", "DownBlock2D"),
}
KINDS = [*DOWN, "linear projections", "text alone in attn1", "text in the timestep"]


def make_unet(kind: str) -> UNet2DConditionModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DConditionModel(
            in_channels=8,
            out_channels=4,
            block_out_channels=(16, 32),
            down_block_types=DOWN.get(kind, DOWN["text in the first block"]),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=16,
            attention_head_dim=2,
            norm_num_groups=4,
            use_linear_projection=kind == "linear projections",
            only_cross_attention=kind == "text alone in attn1",
            addition_embed_type="text" if kind == "text in the timestep" else None,
            addition_embed_type_num_heads=2,
        ).eval()


def make_rows(num_groups: int, num_frames: int) -> tuple[Tensor, Tensor]:
    """Return rows (G*F,8,6,8) and text (G*F,5,16) as the denoising loop makes them."""
    draw = torch.Generator().manual_seed(num_frames)
    latents = torch.randn(num_frames, 4, 6, 8, generator=draw)
    image = torch.randn(num_frames, 4, 6, 8, generator=draw)
    conditions = torch.cat([image, image, torch.zeros_like(image)][:num_groups])
    text = torch.randn(2, 5, 16, generator=draw)[[0, 1, 1][:num_groups]]
    rows = torch.cat([torch.cat([latents] * num_groups), conditions], dim=1)
    return rows, text.repeat_interleave(num_frames, dim=0)


@torch.no_grad()
def predict(unet: UNet2DConditionModel, num_groups: int, num_frames: int, within) -> Tensor:
    """Return what 2 anchors, then frames come to, `within(unet, state)`."""
    state = AnchorPass(AnchorCache(CPU, CPU), choose_backend("sdpa", CPU), 2, writing=True)
    results = []
    with anchor_attention(unet, state), within(unet, state):
        for state.writing, state.num_frames in ((True, 2), (False, num_frames)):
            state.begin_step(0)
            rows, text = make_rows(num_groups, state.num_frames)
            results.append(unet(rows, 500, text, return_dict=False)[0])
    return torch.cat(results)


def each_row_alone(unet: UNet2DConditionModel, state: AnchorPass):
    return nullcontext()


@pytest.mark.parametrize("num_frames", [1, 3])
@pytest.mark.parametrize("num_groups", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_sharing_changes_nothing(kind, num_groups, num_frames):
    unet = make_unet(kind)
    expected = predict(unet, num_groups, num_frames, each_row_alone)
    shared = predict(unet, num_groups, num_frames, shared_branches)
    torch.testing.assert_close(shared, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("num_groups", "num_frames", "computed"),
    # Of the 2 anchors and of the frames; a single row is not computed alone
    [(1, 3, [2, 3]), (2, 3, [2, 3]), (3, 3, [4, 6]), (2, 1, [2, 2]), (3, 1, [4, 2])],
)
def test_rows_of_text_are_not_computed(monkeypatch, num_groups, num_frames, computed):
    unet, seen = make_unet("text in the first block"), []
    inner = unet.conv_in._conv_forward
    monkeypatch.setattr(
        unet.conv_in, "_conv_forward", lambda rows, *a: seen.append(len(rows)) or inner(rows, *a)
    )
    predict(unet, num_groups, num_frames, shared_branches)
    assert seen == computed


@pytest.mark.parametrize("kind", KINDS)
def test_text_does_not_reach_the_modules_found(kind):
    unet = make_unet(kind)
    rows, text = make_rows(3, 1)
    outputs: list[list[Tensor]] = []
    for shift in (0.0, 1.0):
        outputs.append([])
        hooks = [
            module.register_forward_hook(lambda m, args, out: outputs[-1].append(out))
            for module in modules_before_text(unet)
        ]
        with torch.no_grad():
            changed = unet(rows, 500, text + shift, return_dict=False)[0]
        for hook in hooks:
            hook.remove()
        outputs[-1].append(changed)
    *before, last_before = outputs[0]
    *after, last_after = outputs[1]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert not torch.equal(last_before, last_after)


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("text in the first block", "down_blocks.0.attentions.0.transformer_blocks.0.attn1"),
        ("text in the second block", "down_blocks.1.attentions.0.transformer_blocks.0.attn1"),
        ("self-attention in the first block", "conv_in"),
        ("no text on the way down", "down_blocks.1.resnets.0"),
        ("text alone in attn1", "down_blocks.0.resnets.0"),
        ("text in the timestep", "conv_in"),
    ],
)
def test_modules_are_found_up_to_the_first_text(kind, last):
    unet = make_unet(kind)
    names = {module: name for name, module in unet.named_modules()}
    *_, found = modules_before_text(unet)
    assert names[found] == last


def test_modules_are_restored_after_an_exception():
    unet = make_unet("text in the first block")
    kept = unet.conv_in.__dict__["forward"] = lambda rows: rows
    with pytest.raises(KeyboardInterrupt), shared_branches(unet, None):
        raise KeyboardInterrupt
    assert unet.conv_in.__dict__.pop("forward") is kept
    assert not any("forward" in module.__dict__ for module in unet.modules())
