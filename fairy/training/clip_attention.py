"""Anchor attention for training: pseudo-clips side by side in one batch, with gradients.

In an edit, anchors run first and their keys and values are cached. In training, all frames of a
clip are at the same step of the same batch, so no cache is needed. A batch has P clips with F
frames, B = P*F rows. The A anchors of each clip attend to all its anchors, the other frames to
themselves and the anchors. Gradients flow through the anchors' keys and values (SDPA).
The specification is `fairy.anchors.attention`. Tests: tests/training/test_clip_attention.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

from fairy.anchors.attention import AnchorAttnProcessor, self_attention_layers
from fairy.anchors.selection import select_anchor_indices
from fairy_kernels.sdpa import anchor_attention_concatenated, sdpa


@dataclass(frozen=True)
class ClipLayout:
    """How the rows of a batch form clips.

    Attributes:
        num_frames: frames F of each clip, side by side.
        anchors: indices of the anchor frames.
        others: indices of the other frames.
    """

    num_frames: int
    anchors: tuple[int, ...]
    others: tuple[int, ...]

    @classmethod
    def even(cls, num_frames: int, num_anchors: int) -> ClipLayout:
        """Spread the anchors as an edit does."""
        anchors = select_anchor_indices(num_frames, num_anchors)
        others = [frame for frame in range(num_frames) if frame not in anchors]
        return cls(num_frames, tuple(anchors), tuple(others))


class ClipAttnProcessor(AnchorAttnProcessor):
    """Self-attention of one layer over whole clips, without a cache."""

    def __init__(self, layer: str, layout: ClipLayout) -> None:
        self.layer = layer
        self.layout = layout

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return attention of q, k, v (P*F,N,H,D) with each clip's anchors, in the same shape."""
        anchors, others = list(self.layout.anchors), list(self.layout.others)
        # (P*F,N,H,D) -> (P,F,N,H,D)
        q, k, v = (rows.unflatten(0, (-1, self.layout.num_frames)) for rows in (q, k, v))
        q_anchor, k_anchor, v_anchor = (rows[:, anchors].flatten(1, 2) for rows in (q, k, v))
        out = torch.empty_like(q)
        together = sdpa(q_anchor, k_anchor, v_anchor)
        out[:, anchors] = together.unflatten(1, (len(anchors), -1))
        if others:
            q, k, v = (rows[:, others].flatten(0, 1) for rows in (q, k, v))
            alone = anchor_attention_concatenated(q, k, v, k_anchor, v_anchor)
            out[:, others] = alone.unflatten(0, (-1, len(others)))
        return out.flatten(0, 1)


def install_clip_attention(unet: UNet2DConditionModel, layout: ClipLayout) -> None:
    """Attend over clips permanently, also when gradient checkpointing recomputes activations."""
    for name, attn in self_attention_layers(unet).items():
        attn.set_processor(ClipAttnProcessor(name, layout))


@contextmanager
def image_attention(unet: UNet2DConditionModel) -> Iterator[None]:
    """Attend only within each row, as for images; restores the processors, also on errors."""
    layers = self_attention_layers(unet)
    before = {name: attn.processor for name, attn in layers.items()}
    try:
        for attn in layers.values():
            attn.set_processor(AttnProcessor2_0())
        yield
    finally:
        for name, attn in layers.items():
            attn.set_processor(before[name])
