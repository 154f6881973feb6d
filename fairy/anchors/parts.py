"""Attention over several parts of keys, each with a weight of its own: anchors in joint attention.

In the attention of a DiT one softmax is shared by the text, the source and the image. Added anchors
would take weight from text and source even where nothing moves; a bias on each part prevents it.

    out = softmax([q k_p^T * scale + bias_p + mask_p for each part p]) [v_p]

Shapes: q (B,N,H,D); a part's k, v (B,L,H,D); its mask broadcasts to (B,H,N,L).
`attend_concatenated` is the specification; `attend_merged` needs no additive mask for the biases,
so that flash attention can run. Tests: tests/anchors/test_parts.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from fairy.anchors.backends import attention_with_lse


class Part(NamedTuple):
    """Keys that share a bias.

    Attributes:
        k: keys (B,L,H,D).
        v: values (B,L,H,D).
        bias: added to their scaled scores: the log of a factor on their weights.
        mask: as torch's attention takes it, bool or additive, broadcastable to (B,H,N,L).
    """

    k: Tensor
    v: Tensor
    bias: float = 0.0
    mask: Tensor | None = None


class Attend(Protocol):
    """One way to compute it."""

    def __call__(self, q: Tensor, parts: Sequence[Part], *, scale: float | None = None) -> Tensor:
        """Return (B,N,H,D) for queries (B,N,H,D)."""


def attend_concatenated(
    q: Tensor, parts: Sequence[Part], *, scale: float | None = None, exact: bool = False
) -> Tensor:
    """Return attention by one call on all keys, with the biases as an additive mask.

    Args:
        q: queries (B,N,H,D).
        parts: at least one key in total.
        scale: factor on the scores; 1/sqrt(D) when None.
        exact: compute in float64.
    """
    k, v = _joined(parts)
    mask = _joint_mask(q, parts)
    # Apple's GPUs lack float64
    dtype = torch.float64 if exact and q.device.type != "mps" else q.dtype
    q_, k_, v_ = (row.to(dtype).transpose(1, 2) for row in (q, k, v))
    mask = None if mask is None else mask.to(dtype)
    out = scaled_dot_product_attention(q_, k_, v_, attn_mask=mask, scale=scale)
    return out.transpose(1, 2).to(q.dtype)


def attend_merged(q: Tensor, parts: Sequence[Part], *, scale: float | None = None) -> Tensor:
    """Return attention by one call for each bias, merged by log-sum-exp.

    With lse the log of a part's softmax denominator, the joint softmax gives the part the weight
    exp(lse + bias), divided by the sum over the parts. With a mask: `attend_concatenated`.
    """
    if scale is not None:
        q = q * (scale * math.sqrt(q.shape[-1]))
    if any(part.mask is not None for part in parts):
        return attend_concatenated(q, parts)
    outs, logs = [], []
    for bias, same in groupby(sorted(parts, key=_bias), key=_bias):
        out, lse = attention_with_lse(q, *_joined(list(same)))
        outs.append(out)
        logs.append(lse.float() + bias)
    if len(outs) == 1:
        return outs[0]
    weights = torch.stack(logs).softmax(dim=0).unsqueeze(-1)
    return torch.einsum("pbnhx,pbnhd->bnhd", weights, torch.stack(outs).float()).to(q.dtype)


def attend_by_kernel(q: Tensor, parts: Sequence[Part], *, scale: float | None = None) -> Tensor:
    """Return attention by the Triton kernel, which has one bias: for parts of at most two.

    Raises:
        ValueError: a mask, or more than two different biases.
    """
    from fairy_kernels.anchor_attention import anchor_attention

    biases = sorted({part.bias for part in parts})
    if len(biases) > 2 or any(part.mask is not None for part in parts):
        raise ValueError(f"biases {biases}: the kernel takes two, and no mask; use sdpa")
    k, v = _joined([part for part in parts if part.bias == biases[0]])
    k_anchor, v_anchor = k[:, :0], v[:, :0]
    if len(biases) == 2:
        k_anchor, v_anchor = _joined([part for part in parts if part.bias == biases[1]])
    return anchor_attention(
        q, k, v, k_anchor, v_anchor, scale=scale, anchor_bias=biases[-1] - biases[0]
    )


def attention_of_parts(backend: str, device: torch.device) -> Attend:
    """Return how a backend ("sdpa", "triton" or "reference") attends to parts on a device."""
    if backend == "reference":
        return partial(attend_concatenated, exact=True)
    if backend == "triton":
        return attend_by_kernel
    # On a CPU a mask costs little, and results do not depend on how queries are cut into blocks
    return attend_merged if device.type == "cuda" else attend_concatenated


def _bias(part: Part) -> float:
    return part.bias


def _joined(parts: Sequence[Part]) -> tuple[Tensor, Tensor]:
    """Return the keys and values of all parts, (B,L,H,D)."""
    k, v = [part.k for part in parts], [part.v for part in parts]
    return torch.cat(k, dim=1), torch.cat(v, dim=1)


def _joint_mask(q: Tensor, parts: Sequence[Part]) -> Tensor | None:
    """Return the additive mask (B|1,H|1,N|1,L) of all parts; None where nothing is added."""
    if all(part.mask is None and part.bias == 0 for part in parts):
        return None
    rows = [_additive(part, q) for part in parts]
    shape = torch.broadcast_shapes(*(row.shape[:3] for row in rows))
    return torch.cat([row.expand(*shape, row.shape[3]) for row in rows], dim=3)


def _additive(part: Part, q: Tensor) -> Tensor:
    """Return a part's mask and bias, additive, (B|1,H|1,N|1,L) float32."""
    bias = torch.full((1, 1, 1, part.k.shape[1]), part.bias, device=q.device)
    if part.mask is None:
        return bias
    mask = part.mask
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=bias.dtype).masked_fill(~mask, -math.inf)
    return mask + bias
