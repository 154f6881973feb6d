"""What guidance branches share, computed once: the UNet's modules before the first text attention.

Rows (B = G*F) are group-major: [text, image, uncond]. Before the first text attention the `text`
rows of a batch equal the `image` rows: same latents, image latents and timestep. So each module
before it gets only the rows from `image` on, ((G-1)*F), and its result is repeated for `text`.
Exact, so always on.
Tests: tests/editors/ip2p/levers/test_shared_branches.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import Transformer2DModel, UNet2DConditionModel
from diffusers.models.unets.unet_2d_blocks import CrossAttnDownBlock2D, DownBlock2D
from torch import Tensor, nn

from fairy.anchors.attention import AnchorPass


def modules_before_text(unet: UNet2DConditionModel) -> Iterator[nn.Module]:
    """Yield the modules that map rows to rows before the UNet first attends to text, in order.

    Blocks of other types than Stable Diffusion's end the list: too few modules are never wrong.
    """
    yield unet.conv_in
    if unet.config.addition_embed_type is not None:
        # The text is in the timestep's embedding, which every later module reads
        return
    for block in unet.down_blocks:
        if type(block) is CrossAttnDownBlock2D:
            yield block.resnets[0]
            yield from _transformer_before_text(block.attentions[0])
        if type(block) is not DownBlock2D:
            return
        yield from block.resnets
        yield from block.downsamplers or ()


def _transformer_before_text(transformer: Transformer2DModel) -> Iterator[nn.Module]:
    first = transformer.transformer_blocks[0]
    if first.norm_type == "layer_norm" and not first.only_cross_attention:
        yield from (transformer.norm, transformer.proj_in, first.norm1, first.attn1)


@contextmanager
def shared_branches(unet: UNet2DConditionModel, state: AnchorPass) -> Iterator[None]:
    """Compute what `text` and `image` rows share once; restore the modules in any case."""
    modules = list(modules_before_text(unet))
    before = [module.__dict__.get("forward") for module in modules]
    try:
        for module in modules:
            module.__dict__["forward"] = _without_text_rows(module.forward, state)
        yield
    finally:
        for module, forward in zip(modules, before, strict=True):
            del module.__dict__["forward"]
            if forward is not None:
                module.__dict__["forward"] = forward


def _without_text_rows(forward: Callable[..., Tensor], state: AnchorPass) -> Callable[..., Tensor]:
    """Return `forward` for rows (G*F,...), computed on ((G-1)*F,...) if G > 1."""

    def once(rows: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        num_frames = state.num_frames
        num_distinct = rows.shape[0] - num_frames
        # Not for a single row: see `avoid_single_row`
        lone = num_distinct == 1 and not state.writing and rows.device.type == "cpu"
        if num_distinct == 0 or lone:
            return forward(rows, *args, **kwargs)
        out = forward(rows[num_frames:], *args, **kwargs)
        return torch.cat([out[:num_frames], out])

    return once
