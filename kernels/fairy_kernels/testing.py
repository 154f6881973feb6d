"""What tests and benchmarks of anchor attention share: random inputs and the allowed error.

Shapes: q, k, v (G*F,N,H,D); k_anchor, v_anchor (G,A*N,H,D), as in `reference.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from fairy_kernels.reference import anchor_attention_reference, frames_per_group

# An implementation may be off by this many times SDPA's own error, and by this many roundings
ERROR_FACTOR = 2.0


class Inputs(NamedTuple):
    """The five tensors of one call, in the order of the arguments."""

    q: Tensor
    k: Tensor
    v: Tensor
    k_anchor: Tensor
    v_anchor: Tensor


def make_inputs(
    num_groups: int,
    num_frames: int,
    num_tokens: int,
    num_anchors: int,
    num_heads: int,
    head_dim: int,
    dtype: torch.dtype = torch.float32,
    *,
    device: torch.device | str = "cpu",
    scale: float = 1.0,
    seed: int = 0,
) -> Inputs:
    """Return normal inputs times `scale` (larger: sharper softmax); the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    own = (num_groups * num_frames, num_tokens, num_heads, head_dim)
    anchor = (num_groups, num_anchors * num_tokens, num_heads, head_dim)
    shapes = (own, own, own, anchor, anchor)
    drawn = (torch.randn(shape, generator=generator) * scale for shape in shapes)
    return Inputs(*(tensor.to(device=device, dtype=dtype) for tensor in drawn))


def anchor_attention_plain(
    q: Tensor, k: Tensor, v: Tensor, k_anchor: Tensor, v_anchor: Tensor
) -> Tensor:
    """Return anchor attention by one SDPA call on the concatenation, anchors copied per frame."""
    num_frames = frames_per_group(q, k_anchor)
    k_all = torch.cat([k, k_anchor.repeat_interleave(num_frames, dim=0)], dim=1)
    v_all = torch.cat([v, v_anchor.repeat_interleave(num_frames, dim=0)], dim=1)
    out = scaled_dot_product_attention(
        q.transpose(1, 2), k_all.transpose(1, 2), v_all.transpose(1, 2)
    )
    return out.transpose(1, 2)


def max_error(out: Tensor, inputs: Inputs) -> float:
    """Return the largest absolute difference of `out` from the float64 reference."""
    expected = anchor_attention_reference(*(tensor.double() for tensor in inputs))
    return (out.double() - expected).abs().max().item()


def allowed_error(inputs: Inputs) -> float:
    """Return how far from the reference an implementation may be in the inputs' dtype."""
    rounding = torch.finfo(inputs.q.dtype).eps * inputs.v.abs().max().item()
    return ERROR_FACTOR * max(max_error(anchor_attention_plain(*inputs), inputs), rounding)
