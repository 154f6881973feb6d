"""Compute once what guidance branches share: the UNet's modules before the first text attention.

Rows (B = G*F) are group-major: [text, image, uncond]. Before the first text attention the `text`
rows of a batch equal the `image` rows: they have the same latents, image latents and timestep. So
each module before it gets only the rows from `image` on, ((G-1)*F), and its result is repeated for
`text`. This is exact, so it is always on.
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

    The list ends at the first block of a type that Stable Diffusion does not have: a short list is
    slower, but never wrong.
    """
    yield unet.conv_in
    if unet.config.addition_embed_type is not None:
        # The timestep embedding contains the text, and every later module reads it
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
    """Compute once what `text` and `image` rows share; restores the modules, also on errors."""
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
    """Return a `forward` of rows (G*F,...) that computes only ((G-1)*F,...) if G > 1."""

    def once(rows: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        num_frames = state.num_frames
        num_distinct = rows.shape[0] - num_frames
        # Not if a single row would be left: see `avoid_single_row`
        lone = num_distinct == 1 and not state.writing and rows.device.type == "cpu"
        if num_distinct == 0 or lone:
            return forward(rows, *args, **kwargs)
        out = forward(rows[num_frames:], *args, **kwargs)
        return torch.cat([out[:num_frames], out])

    return once
