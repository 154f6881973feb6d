"""Attention of frames to themselves and to their group's anchors, with the Triton kernel.

    out[g*F+f] = softmax([q k^T * scale, q k_anchor[g]^T * scale + anchor_bias]) [v, v_anchor[g]]

Shapes: q (B,N,H,D), k, v (B,L,H,D), B = G*F; k_anchor, v_anchor (G,M,H,D); out (B,N,H,D). All
inputs are read in place. The kernel is a custom operator with a shape rule, so it works with
torch.compile(fullgraph=True) and CUDA graphs. Importing this module needs Triton
(`availability.why_not`).
Reference: reference.py. Tests: tests/kernels/test_anchor_attention.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fairy_kernels import kernel
from fairy_kernels.launch_config import MAX_HEAD_DIM, choose_config
from fairy_kernels.reference import frames_per_group


def anchor_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_anchor: Tensor,
    v_anchor: Tensor,
    *,
    scale: float | None = None,
    anchor_bias: float = 0.0,
) -> Tensor:
    """Return attention over own and anchor keys, (B,N,H,D), contiguous.

    Args:
        q: queries (B,N,H,D), B = G*F rows, group-major; float16, bfloat16 or float32.
        k: each row's own keys (B,L,H,D).
        v: each row's own values (B,L,H,D).
        k_anchor: the anchors' keys (G,M,H,D); M = 0 is plain self-attention.
        v_anchor: the anchors' values (G,M,H,D).
        scale: factor on the scores, above 0; 1/sqrt(D) when None.
        anchor_bias: added to the anchors' scaled scores: their weights are multiplied by
            exp(anchor_bias). 0 is the paper; -inf leaves the anchors out.

    Raises:
        ValueError: the shapes, dtypes or devices do not match, or a number is out of range.
    """
    check_arguments(q, k, v, k_anchor, v_anchor)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if not 0 < scale < math.inf:
        raise ValueError(f"scale {scale}: must be a finite number above 0")
    if not anchor_bias < math.inf:
        raise ValueError(f"anchor_bias {anchor_bias}: must be a number, or -inf for no anchors")
    if anchor_bias == -math.inf:
        k_anchor, v_anchor, anchor_bias = k_anchor[:, :0], v_anchor[:, :0], 0.0
    out: Tensor = anchor_attention_op(q, k, v, k_anchor, v_anchor, scale, anchor_bias)
    return out


def attention(q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None) -> Tensor:
    """Return plain attention of q (B,N,H,D) to k, v (B,L,H,D); the anchors' pass uses it."""
    return anchor_attention(q, k, v, k[:1, :0], v[:1, :0], scale=scale)


@torch.library.custom_op("fairy_kernels::anchor_attention", mutates_args=())
def anchor_attention_op(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_anchor: Tensor,
    v_anchor: Tensor,
    scale: float,
    anchor_bias: float,
) -> Tensor:
    """Run the kernel on checked arguments."""
    config = choose_config(q.shape[-1], q.shape[1], q.dtype, q.device)
    return kernel.launch(
        q, k, v, k_anchor, v_anchor, scale=scale, anchor_bias=anchor_bias, config=config
    )


@anchor_attention_op.register_fake
def _shape_of_result(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_anchor: Tensor,
    v_anchor: Tensor,
    scale: float,
    anchor_bias: float,
) -> Tensor:
    return torch.empty(q.shape, dtype=q.dtype, device=q.device)


def check_arguments(q: Tensor, k: Tensor, v: Tensor, k_anchor: Tensor, v_anchor: Tensor) -> None:
    """Check the tensors, because the kernel itself would read out of bounds.

    Raises:
        ValueError: the shapes, dtypes or devices do not match.
    """
    num_rows, _, num_heads, head_dim = q.shape
    frames_per_group(q, k_anchor)
    if head_dim % kernel.VEC or not 0 < head_dim <= MAX_HEAD_DIM:
        raise ValueError(
            f"head dim {head_dim}: must be a multiple of {kernel.VEC} up to {MAX_HEAD_DIM}"
        )
    if q.dtype not in kernel.MAX_TOTAL:
        raise ValueError(f"dtype {q.dtype}: use float16, bfloat16 or float32")
    if k.shape[1] == 0:
        raise ValueError("no keys: every row needs at least one of its own")
    own, anchors = (num_rows, k.shape[1]), (k_anchor.shape[0], k_anchor.shape[1])
    named = {
        "k": (k, own),
        "v": (v, own),
        "k_anchor": (k_anchor, anchors),
        "v_anchor": (v_anchor, anchors),
    }
    for name, (tensor, leading) in named.items():
        if tensor.shape != (*leading, num_heads, head_dim):
            raise ValueError(
                f"{name} is {tuple(tensor.shape)}: must be {(*leading, num_heads, head_dim)}"
            )
        if (tensor.dtype, tensor.device) != (q.dtype, q.device):
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}, q is {q.dtype} on {q.device}"
            )
