"""Anchor attention written as its formula: the specification that every kernel is tested against.

    out = softmax([q k^T * scale, q k_anchor^T * scale + anchor_bias]) [v, v_anchor]

Section 3 of the Fairy paper; there anchor_bias is 0.

Shapes: q, k, v (B,N,H,D) with B = G*F rows, row g*F+f; k_anchor, v_anchor (G,M,H,D); out (B,N,H,D).
Tests: tests/kernels/test_reference.py.
"""

from __future__ import annotations

import torch
from torch import Tensor


def attention_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    scale: float | None = None,
    bias: Tensor | None = None,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Return softmax(q k^T * scale + bias) v.

    Args:
        q: queries (B,N,H,D).
        k: keys (B,M,H,D).
        v: values (B,M,H,D).
        scale: factor on the scores; 1/sqrt(D) when None.
        bias: added to the scaled scores of each key, (M,); 0 when None.
        dtype: for the computation; the result has q's.
    """
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = torch.einsum("bnhd,bmhd->bhnm", q.to(dtype), k.to(dtype)) * scale
    if bias is not None:
        scores = scores + bias.to(dtype)
    out = torch.einsum("bhnm,bmhd->bnhd", scores.softmax(dim=-1), v.to(dtype))
    return out.to(q.dtype)


def anchor_attention_reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_anchor: Tensor,
    v_anchor: Tensor,
    *,
    scale: float | None = None,
    anchor_bias: float = 0.0,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Return attention over own and anchor keys; row g*F+f reads the anchors of group g.

    Args:
        q: queries (B,N,H,D), B = G*F rows, group-major.
        k: each row's own keys (B,N,H,D).
        v: each row's own values (B,N,H,D).
        k_anchor: the anchors' keys (G,M,H,D).
        v_anchor: the anchors' values (G,M,H,D).
        scale: factor on the scores; 1/sqrt(D) when None.
        anchor_bias: added to the anchors' scaled scores; -inf leaves the anchors out.
        dtype: for the computation; the result has q's.
    """
    num_frames = frames_per_group(q, k_anchor)
    k_all = torch.cat([k, k_anchor.repeat_interleave(num_frames, dim=0)], dim=1)
    v_all = torch.cat([v, v_anchor.repeat_interleave(num_frames, dim=0)], dim=1)
    bias = anchor_bias_of_keys(k.shape[1], k_anchor.shape[1], anchor_bias, q.device)
    return attention_reference(q, k_all, v_all, scale=scale, bias=bias, dtype=dtype)


def anchor_bias_of_keys(
    num_keys: int, num_anchor_keys: int, anchor_bias: float, device: torch.device
) -> Tensor | None:
    """Return each key's bias, (L+M,) float32: 0 for own keys; None if all are 0."""
    if anchor_bias == 0:
        return None
    bias = torch.zeros(num_keys + num_anchor_keys, device=device)
    bias[num_keys:] = anchor_bias
    return bias


def frames_per_group(q: Tensor, k_anchor: Tensor) -> int:
    """Return F of q (G*F,N,H,D) and k_anchor (G,M,H,D).

    Raises:
        ValueError: q's rows do not divide among the groups.
    """
    if q.shape[0] % k_anchor.shape[0] != 0:
        raise ValueError(
            f"batch {q.shape[0]} is not a multiple of the {k_anchor.shape[0]} anchor groups: "
            "pass frames as (groups * frames, N, H, D), group-major"
        )
    return q.shape[0] // k_anchor.shape[0]
