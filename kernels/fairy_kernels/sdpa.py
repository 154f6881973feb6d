"""Anchor attention with torch's scaled dot-product attention, for devices without our kernel.

Shapes: q, k, v (B,N,H,D) with B = G*F rows, row g*F+f; k_anchor, v_anchor (G,M,H,D); out (B,N,H,D).
Reference: fairy_kernels/reference.py. Tests: tests/kernels/test_testing.py,
tests/anchors/test_backends.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from fairy_kernels.reference import anchor_bias_of_keys, frames_per_group


def sdpa(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, *, scale: float | None = None
) -> Tensor:
    """Return torch's scaled dot-product attention of q (B,N,H,D) to k, v (B,M,H,D).

    Scores are scaled by `scale`, 1/sqrt(D) when None. `bias` (M,) is added to the scaled scores;
    it makes torch use other kernels.
    """
    mask = None if bias is None else bias.to(q.dtype).expand(q.shape[1], -1)
    out = scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask, scale=scale
    )
    return out.transpose(1, 2)


def anchor_attention_concatenated(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_anchor: Tensor,
    v_anchor: Tensor,
    *,
    scale: float | None = None,
    anchor_bias: float = 0.0,
) -> Tensor:
    """Return anchor attention by one call on [k, k_anchor]; copies the anchors for each frame."""
    if anchor_bias == -math.inf:
        return sdpa(q, k, v, scale=scale)
    num_frames = frames_per_group(q, k_anchor)
    k_all = torch.cat([k, k_anchor.repeat_interleave(num_frames, dim=0)], dim=1)
    v_all = torch.cat([v, v_anchor.repeat_interleave(num_frames, dim=0)], dim=1)
    bias = anchor_bias_of_keys(k.shape[1], k_anchor.shape[1], anchor_bias, q.device)
    return sdpa(q, k_all, v_all, bias, scale=scale)
