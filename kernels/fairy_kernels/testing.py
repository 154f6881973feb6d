"""Random inputs and the error limit for tests and benchmarks of anchor attention.

Shapes: q, k, v (G*F,N,H,D); k_anchor, v_anchor (G,A*N,H,D), as in `reference.py`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from fairy_kernels.reference import anchor_attention_reference
from fairy_kernels.sdpa import anchor_attention_concatenated

# Allowed: this many times SDPA's own error, or this many roundings
ERROR_FACTOR = 2.0


class Inputs(NamedTuple):
    """The five tensors of one call, in argument order."""

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
    """Return normally distributed inputs times `scale`; a larger one gives a sharper softmax."""
    generator = torch.Generator().manual_seed(seed)
    own = (num_groups * num_frames, num_tokens, num_heads, head_dim)
    anchor = (num_groups, num_anchors * num_tokens, num_heads, head_dim)
    shapes = (own, own, own, anchor, anchor)
    drawn = (torch.randn(shape, generator=generator) * scale for shape in shapes)
    return Inputs(*(tensor.to(device=device, dtype=dtype) for tensor in drawn))


def max_error(
    out: Tensor, inputs: Inputs, *, scale: float | None = None, anchor_bias: float = 0.0
) -> float:
    """Return the largest absolute difference of `out` from the float64 reference.

    NaN in only one of the two counts as an infinite difference.
    """
    expected = anchor_attention_reference(
        *(tensor.double() for tensor in inputs), scale=scale, anchor_bias=anchor_bias
    )
    if not torch.equal(out.isnan(), expected.isnan()):
        return float("inf")
    return (out.double() - expected).nan_to_num(0.0).abs().max().item()


def allowed_error(inputs: Inputs, *, scale: float | None = None, anchor_bias: float = 0.0) -> float:
    """Return the largest error that an implementation may have in the inputs' dtype."""
    rounding = torch.finfo(inputs.q.dtype).eps * inputs.v.nan_to_num(0.0).abs().max().item()
    plain = anchor_attention_concatenated(*inputs, scale=scale, anchor_bias=anchor_bias)
    error = max_error(plain, inputs, scale=scale, anchor_bias=anchor_bias)
    # An overflow of SDPA itself allows nothing
    return ERROR_FACTOR * max(error if math.isfinite(error) else 0.0, rounding)


def sampled(inputs: Inputs, num_queries: int = 64) -> tuple[tuple[Tensor, slice], Inputs]:
    """Return which part of a large result to check, and the inputs of that part.

    The reference holds all scores at once, so only the last queries of each group's first and last
    frame are compared.

    Returns:
        an index into the result (B,N,H,D), and inputs that give the result at that index.
    """
    num_groups, num_rows = inputs.k_anchor.shape[0], inputs.q.shape[0]
    rows = torch.arange(num_rows).view(num_groups, -1)[:, [0, -1]].flatten().to(inputs.q.device)
    index = (rows, slice(-num_queries, None))
    return index, inputs._replace(q=inputs.q[index], k=inputs.k[rows], v=inputs.v[rows])
