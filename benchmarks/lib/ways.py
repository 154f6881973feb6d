"""Other ways to edit a clip with the same weights, for bench_baselines.py.

The attention of other methods temporarily replaces the UNet's self-attention, as diffusers
processors: hidden states (B,N,C), B = G*F, group-major, G the branches that diffusers computes.
Frames (T,3,H,W) in [0,1]. Tests: tests/benchmarks/lib/test_ways.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

from fairy.anchors.attention import self_attention_layers
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.evaluation.methods import edit_alone

# diffusers computes three branches or one, independent of their weights
BRANCHES = 3


class FirstFrameAttnProcessor(AttnProcessor2_0):
    """Every frame attends to the first frame of its batch (Text2Video-Zero, section 3.3.2)."""

    def __init__(self, num_groups: int) -> None:
        super().__init__()
        self.num_groups = num_groups

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the layer's output (B,N,C)."""
        frames = hidden_states.unflatten(0, (self.num_groups, -1))
        first = frames[:, :1].expand_as(frames).flatten(0, 1)
        return super().__call__(attn, hidden_states, first)


class JointAttnProcessor(AttnProcessor2_0):
    """Every frame attends to all frames of its batch, as one long sequence."""

    def __init__(self, num_groups: int) -> None:
        super().__init__()
        self.num_groups = num_groups

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the layer's output (B,N,C)."""
        joined = hidden_states.reshape(self.num_groups, -1, hidden_states.shape[-1])
        return super().__call__(attn, joined).reshape(hidden_states.shape)


@contextmanager
def self_attention_by(unet: UNet2DConditionModel, make: Any) -> Iterator[None]:
    """Replace every self-attention layer's processor by `make()` in this block."""
    layers = self_attention_layers(unet).values()
    before = [layer.processor for layer in layers]
    try:
        for layer in layers:
            layer.set_processor(make())
        yield
    finally:
        for layer, processor in zip(layers, before, strict=True):
            layer.set_processor(processor)


def edit_with_first_frame(
    pipe: FairyPipeline, frames: Tensor, instruction: str, num_at_once: int, **settings: Any
) -> Tensor:
    """Return frames edited in batches that each start with the first frame, recomputed."""
    batches = frames[1:].split(num_at_once - 1) if len(frames) > 1 else [frames[1:]]
    groups = num_groups(pipe, **settings)
    done = []
    with self_attention_by(pipe.unet, lambda: FirstFrameAttnProcessor(groups)):
        for rest in batches:
            batch = torch.cat([frames[:1], rest])
            edited = alone(pipe, batch, instruction, num_at_once, **settings)
            done.append(edited[1:] if done else edited)
    return torch.cat(done)


def edit_jointly(
    pipe: FairyPipeline, frames: Tensor, instruction: str, num_at_once: int, **settings: Any
) -> Tensor:
    """Return frames edited in batches, each frame attending to all of its batch."""
    groups = num_groups(pipe, **settings)
    with self_attention_by(pipe.unet, lambda: JointAttnProcessor(groups)):
        return alone(pipe, frames, instruction, num_at_once, **settings)


def alone(
    pipe: FairyPipeline, frames: Tensor, instruction: str, num_at_once: int, **settings: Any
) -> Tensor:
    """Return frames edited by diffusers' own pipeline, `num_at_once` per call, from one noise."""
    count = len(frames)
    return edit_alone(
        pipe, frames, [instruction] * count, [0] * count, images_at_once=num_at_once, **settings
    )


def num_groups(pipe: FairyPipeline, **settings: Any) -> int:
    """Return the guidance branches G that diffusers computes."""
    defaults = pipe.defaults
    guidance = Guidance(
        settings.get("guidance_scale", defaults.guidance_scale),
        settings.get("image_guidance_scale", defaults.image_guidance_scale),
    )
    return BRANCHES if guidance.enabled else 1
