"""Self-attention with anchors: like diffusers' own where there are none, and always taken out."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from fairy.anchors.attention import (
    AnchorAttnProcessor,
    AnchorPass,
    anchor_attention,
    self_attention_layers,
)
from fairy.anchors.backends import choose_backend
from fairy.anchors.cache import AnchorCache

CPU = torch.device("cpu")

LAYERS = {
    "plain": lambda: Attention(query_dim=16, heads=2, dim_head=8),
    # As in AttnDownBlock2D and the middle block without text
    "residual": lambda: Attention(
        16,
        heads=2,
        dim_head=8,
        norm_num_groups=4,
        residual_connection=True,
        rescale_output_factor=2.0,
        bias=True,
    ),
    "normed": lambda: Attention(16, heads=2, dim_head=8, qk_norm="layer_norm"),
}


def make_pass(writing: bool, num_frames: int = 1, cache: AnchorCache | None = None) -> AnchorPass:
    cache = cache or AnchorCache(CPU, CPU)
    return AnchorPass(cache, choose_backend("sdpa", CPU), num_frames, writing)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shape", [(3, 12, 16), (3, 16, 3, 4)])
@torch.no_grad()
def test_one_anchor_alone_equals_diffusers(layer, shape):
    attn, hidden_states = LAYERS[layer]().eval(), torch.randn(shape)
    expected = AttnProcessor2_0()(attn, hidden_states)
    # Three branches with one anchor each
    out = AnchorAttnProcessor("layer", make_pass(True))(attn, hidden_states)
    assert torch.equal(out, expected)


@torch.no_grad()
def test_frame_equal_to_its_only_anchor_equals_plain_attention():
    attn, hidden_states = LAYERS["plain"]().eval().double(), torch.randn(1, 12, 16).double()
    expected = AttnProcessor2_0()(attn, hidden_states)
    writing = make_pass(True)
    AnchorAttnProcessor("layer", writing)(attn, hidden_states)
    reading = make_pass(False, cache=writing.cache)
    reading.begin_step(0)
    out = AnchorAttnProcessor("layer", reading)(attn, hidden_states)
    assert torch.allclose(out, expected, atol=1e-12)


@torch.no_grad()
def test_anchors_see_each_other():
    attn, hidden_states = LAYERS["plain"]().eval(), torch.randn(2, 12, 16)
    together = AnchorAttnProcessor("layer", make_pass(True, num_frames=2))(attn, hidden_states)
    alone = AnchorAttnProcessor("layer", make_pass(True))(attn, hidden_states[:1])
    assert not torch.allclose(together[:1], alone, atol=1e-3)


@torch.no_grad()
def test_anchors_do_not_see_other_branches():
    attn, hidden_states = LAYERS["plain"]().eval(), torch.randn(4, 12, 16)
    before = AnchorAttnProcessor("layer", make_pass(True, num_frames=2))(attn, hidden_states)
    hidden_states[2:] += 1.0
    after = AnchorAttnProcessor("layer", make_pass(True, num_frames=2))(attn, hidden_states)
    assert torch.equal(before[:2], after[:2])


def test_mask_is_refused():
    attn, hidden_states = LAYERS["plain"](), torch.randn(1, 12, 16)
    with pytest.raises(ValueError, match="no mask"):
        AnchorAttnProcessor("layer", make_pass(True))(
            attn, hidden_states, attention_mask=torch.ones(1, 12)
        )


def test_every_self_attention_layer_is_found_and_no_other(tiny_pipeline):
    names = set(self_attention_layers(tiny_pipeline.unet))
    expected = {
        name.removesuffix(".processor")
        for name in tiny_pipeline.unet.attn_processors
        if "attn1" in name
    }
    assert names == expected
    assert len(names) == 7


def test_processors_are_restored(tiny_pipeline):
    before = dict(tiny_pipeline.unet.attn_processors)
    with anchor_attention(tiny_pipeline.unet, make_pass(True)):
        inside = tiny_pipeline.unet.attn_processors
        assert sum(isinstance(p, AnchorAttnProcessor) for p in inside.values()) == 7
    assert tiny_pipeline.unet.attn_processors == before


def test_processors_are_restored_after_an_exception(tiny_pipeline):
    unet = tiny_pipeline.unet
    before = dict(unet.attn_processors)
    with pytest.raises(KeyboardInterrupt), anchor_attention(unet, make_pass(True)):
        raise KeyboardInterrupt
    assert unet.attn_processors == before
    assert not unet.time_proj._forward_hooks
