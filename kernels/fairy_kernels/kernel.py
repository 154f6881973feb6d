"""Anchor attention as one Triton kernel, and its launch.

    out[r] = softmax([q[r] k[r]^T * scale, q[r] k_anchor[g]^T * scale + anchor_bias])
             [v[r], v_anchor[g]]                                         g = r // F, for each head

Shapes: q (B,N,H,D), k, v (B,L,H,D), B = G*F rows, row g*F+f; k_anchor, v_anchor (G,M,H,D); out
(B,N,H,D). Keys and values are read in place, one tile of BLOCK_N after another: the row's own
tiles, then its group's anchors, with one running state. Nothing is concatenated, copied or merged.

Grid: one program per BLOCK_M queries of a row and head. Query tiles run fastest, then frames, heads
and groups, so that programs that are resident together read the same anchors from the L2 cache.

Legend: scores are kept in log2 units (`scale_log2` = scale * log2(e)), `shift` is subtracted before
exp2, `total` is the softmax's denominator, `acc` its numerator. A head dimension that is not a
power of two is split into two powers, D_MAIN + D_REST (40 = 32 + 16, the last 8 masked). Strides
are divided by VEC: the compiler then knows they are multiples of it and reads 16 bytes at once.

There are two ways to shift, both exact up to rounding (proof: README.md): the running maximum
("online"), or FIXED_SHIFT: the maximum of one tile, which saves three instructions a score. If
anything overflowed, the program runs again online.
Reference: reference.py. Tests: tests/kernels/test_anchor_attention.py, test_mutations.py.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from fairy_kernels.launch_config import LaunchConfig, split_head_dim

# Elements: 16 bytes in 16 bit
VEC = 8
# The offsets inside a tile of up to 256 tokens are 32-bit
MAX_TOKEN_STRIDE = 2**31 // 256
# With a fixed shift the denominator is at least 1; above this, weights or sums might overflow
MAX_TOTAL = {torch.float16: 2.0**15, torch.bfloat16: 2.0**32, torch.float32: 2.0**32}


# fmt: off
@triton.jit
def load_tile(
    base, stride, first, num_tokens,
    D: tl.constexpr, D_FIRST: tl.constexpr, D_WIDTH: tl.constexpr,
    ROWS: tl.constexpr, MASK_ROWS: tl.constexpr, VEC: tl.constexpr,
):
# fmt: on
    """Return (ROWS, D_WIDTH) from token `first` and channel D_FIRST on; 0 outside the tensor."""
    tokens = tl.arange(0, ROWS)
    channels = D_FIRST + tl.arange(0, D_WIDTH)
    # 64-bit offsets to the tile, 32-bit within it
    tile = base + tl.cast(first, tl.int64) * stride * VEC
    at = tile + tokens[:, None] * (stride * VEC) + channels[None, :]
    in_rows = (tokens < num_tokens - first)[:, None]
    in_channels = (channels < D)[None, :]
    if MASK_ROWS and D_FIRST + D_WIDTH > D:
        return tl.load(at, mask=in_rows & in_channels, other=0.0)
    elif MASK_ROWS:
        return tl.load(at, mask=in_rows, other=0.0)
    elif D_FIRST + D_WIDTH > D:
        return tl.load(at, mask=in_channels, other=0.0)
    else:
        return tl.load(at)


# fmt: off
@triton.jit
def dot_keys(
    q, q_rest, k_base, k_stride, first, num_keys,
    D: tl.constexpr, D_MAIN: tl.constexpr, D_REST: tl.constexpr,
    BLOCK_N: tl.constexpr, MASK_KEYS: tl.constexpr, VEC: tl.constexpr,
):
# fmt: on
    """Return q k^T (BLOCK_M, BLOCK_N) for the keys from `first` on; -inf past the last key."""
    k = load_tile(k_base, k_stride, first, num_keys, D, 0, D_MAIN, BLOCK_N, MASK_KEYS, VEC)
    scores = tl.dot(q, tl.trans(k), input_precision="ieee")
    if D_REST > 0:
        k = load_tile(k_base, k_stride, first, num_keys, D, D_MAIN, D_REST, BLOCK_N, MASK_KEYS, VEC)
        scores = tl.dot(q_rest, tl.trans(k), scores, input_precision="ieee")
    if MASK_KEYS:
        keys = tl.arange(0, BLOCK_N) < num_keys - first
        scores = tl.where(keys[None, :], scores, float("-inf"))
    return scores


# fmt: off
@triton.jit
def fold_tiles(
    q, q_rest, shift,
    k_own, k_stride, v_own, v_stride, k_anchor, ka_stride, v_anchor, va_stride,
    num_keys, num_anchor_keys, scale_log2, bias_log2,
    D: tl.constexpr, D_MAIN: tl.constexpr, D_REST: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    MASK_KEYS: tl.constexpr, ONLINE: tl.constexpr, VEC: tl.constexpr,
):
# fmt: on
    """Return numerator (two parts) and denominator of the softmax over own and anchor keys."""
    acc = tl.zeros([BLOCK_M, D_MAIN], tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    # Never used when D_REST is 0; the compiler removes it then
    acc_rest = tl.zeros([BLOCK_M, D_REST if D_REST > 0 else 16], tl.float32)
    num_own = tl.cdiv(num_keys, BLOCK_N)
    num_tiles = num_own + tl.cdiv(num_anchor_keys, BLOCK_N)
    for tile in tl.range(0, num_tiles):
        own = tile < num_own
        first = tl.where(own, tile, tile - num_own) * BLOCK_N
        last = tl.where(own, num_keys, num_anchor_keys)
        bias = tl.where(own, 0.0, bias_log2)
        k_base = tl.where(own, k_own, k_anchor)
        v_base = tl.where(own, v_own, v_anchor)
        k_step = tl.where(own, k_stride, ka_stride)
        v_step = tl.where(own, v_stride, va_stride)
        scores = dot_keys(
            q, q_rest, k_base, k_step, first, last, D, D_MAIN, D_REST, BLOCK_N, MASK_KEYS, VEC
        )
        if ONLINE:
            # scale_log2 > 0: the largest product is the largest score
            raised = tl.maximum(shift, tl.max(scores, 1) * scale_log2 + bias)
            rescale = tl.exp2(shift - raised)
            acc = acc * rescale[:, None]
            acc_rest = acc_rest * rescale[:, None]
            total = total * rescale
            shift = raised
        weights = tl.exp2(scores * scale_log2 + (bias - shift)[:, None])
        total += tl.sum(weights, 1)
        v = load_tile(v_base, v_step, first, last, D, 0, D_MAIN, BLOCK_N, MASK_KEYS, VEC)
        acc = tl.dot(weights.to(v.dtype), v, acc, input_precision="ieee")
        if D_REST > 0:
            v = load_tile(v_base, v_step, first, last, D, D_MAIN, D_REST, BLOCK_N, MASK_KEYS, VEC)
            acc_rest = tl.dot(weights.to(v.dtype), v, acc_rest, input_precision="ieee")
    return acc, acc_rest, total


# fmt: off
@triton.jit
def anchor_attention_kernel(
    q_ptr, k_ptr, v_ptr, ka_ptr, va_ptr, out_ptr,
    q_row, q_token, q_head, k_row, k_token, k_head, v_row, v_token, v_head,
    ka_row, ka_token, ka_head, va_row, va_token, va_head,
    num_heads, num_frames, num_queries, num_keys, num_anchor_keys, scale_log2, bias_log2,
    D: tl.constexpr, D_MAIN: tl.constexpr, D_REST: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, MASK_KEYS: tl.constexpr,
    FIXED_SHIFT: tl.constexpr, MAX_TOTAL: tl.constexpr, VEC: tl.constexpr,
):
# fmt: on
    """Write BLOCK_M rows of out; strides are counted in VEC elements."""
    num_tiles = tl.cdiv(num_queries, BLOCK_M)
    pid = tl.program_id(0)
    first = pid % num_tiles * BLOCK_M
    frame = pid // num_tiles % num_frames
    head = tl.cast(pid // (num_tiles * num_frames) % num_heads, tl.int64)
    group = tl.cast(pid // (num_tiles * num_frames * num_heads), tl.int64)
    row = group * num_frames + frame

    q_base = q_ptr + (row * q_row + head * q_head) * VEC
    k_own = k_ptr + (row * k_row + head * k_head) * VEC
    v_own = v_ptr + (row * v_row + head * v_head) * VEC
    k_anchor = ka_ptr + (group * ka_row + head * ka_head) * VEC
    v_anchor = va_ptr + (group * va_row + head * va_head) * VEC

    q = load_tile(q_base, q_token, first, num_queries, D, 0, D_MAIN, BLOCK_M, True, VEC)
    q_rest = q
    if D_REST > 0:
        q_rest = load_tile(
            q_base, q_token, first, num_queries, D, D_MAIN, D_REST, BLOCK_M, True, VEC
        )

    if FIXED_SHIFT:
        # The keys at the queries' own position: in self-attention these scores are the largest
        near = tl.minimum(first, num_keys - 1) // BLOCK_N * BLOCK_N
        scores = dot_keys(
            q, q_rest, k_own, k_token, near, num_keys, D, D_MAIN, D_REST, BLOCK_N, MASK_KEYS, VEC
        )
        shift = tl.max(scores, 1) * scale_log2
        acc, acc_rest, total = fold_tiles(
            q, q_rest, shift,
            k_own, k_token, v_own, v_token, k_anchor, ka_token, v_anchor, va_token,
            num_keys, num_anchor_keys, scale_log2, bias_log2,
            D, D_MAIN, D_REST, BLOCK_M, BLOCK_N, MASK_KEYS, False, VEC,
        )  # fmt: skip
        # No weight is larger than their sum; NaN compares false
        again = tl.min((total <= MAX_TOTAL).to(tl.int32), 0) == 0
    else:
        acc = tl.zeros([BLOCK_M, D_MAIN], tl.float32)
        acc_rest = tl.zeros([BLOCK_M, D_REST if D_REST > 0 else 16], tl.float32)
        total = tl.zeros([BLOCK_M], tl.float32)
        again = True
    if again:
        shift = tl.full([BLOCK_M], float("-inf"), tl.float32)
        acc, acc_rest, total = fold_tiles(
            q, q_rest, shift,
            k_own, k_token, v_own, v_token, k_anchor, ka_token, v_anchor, va_token,
            num_keys, num_anchor_keys, scale_log2, bias_log2,
            D, D_MAIN, D_REST, BLOCK_M, BLOCK_N, MASK_KEYS, True, VEC,
        )  # fmt: skip

    tokens = tl.arange(0, BLOCK_M)
    in_rows = (tokens < num_queries - first)[:, None]
    out_token = num_heads * D
    start = (row * num_queries + first) * out_token + head * D
    out_base = out_ptr + start + tokens[:, None] * out_token
    channels = tl.arange(0, D_MAIN)[None, :]
    out = (acc / total[:, None]).to(out_ptr.dtype.element_ty)
    tl.store(out_base + channels, out, mask=in_rows & (channels < D))
    if D_REST > 0:
        channels = D_MAIN + tl.arange(0, D_REST)[None, :]
        out = (acc_rest / total[:, None]).to(out_ptr.dtype.element_ty)
        tl.store(out_base + channels, out, mask=in_rows & (channels < D))


def launch(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_anchor: Tensor,
    v_anchor: Tensor,
    *,
    scale: float,
    anchor_bias: float,
    config: LaunchConfig,
) -> Tensor:
    """Run the kernel on checked arguments and return out (B,N,H,D), contiguous.

    Args:
        q: queries (B,N,H,D).
        k: keys (B,L,H,D).
        v: values (B,L,H,D).
        k_anchor: the anchors' keys (G,M,H,D); M may be 0.
        v_anchor: the anchors' values (G,M,H,D).
        scale: factor on the scores, above 0.
        anchor_bias: added to the anchors' scaled scores; finite.
        config: block sizes and other launch settings.
    """
    num_rows, num_queries, num_heads, head_dim = q.shape
    num_groups, num_anchor_keys = k_anchor.shape[:2]
    num_keys = k.shape[1]
    d_main, d_rest = split_head_dim(head_dim, split=config.split)
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    tensors = [readable(tensor) for tensor in (q, k, v, k_anchor, v_anchor)]
    strides = [stride // VEC for tensor in tensors for stride in tensor.stride()[:3]]
    grid = (num_rows * num_heads * triton.cdiv(num_queries, config.block_m),)
    with torch.cuda.device_of(q):
        anchor_attention_kernel[grid](
            *tensors,
            out,
            *strides,
            num_heads,
            num_rows // num_groups,
            num_queries,
            num_keys,
            num_anchor_keys,
            scale * math.log2(math.e),
            anchor_bias * math.log2(math.e),
            D=head_dim,
            D_MAIN=d_main,
            D_REST=d_rest,
            BLOCK_M=config.block_m,
            BLOCK_N=config.block_n,
            MASK_KEYS=bool(num_keys % config.block_n or num_anchor_keys % config.block_n),
            FIXED_SHIFT=config.fixed_shift,
            MAX_TOTAL=MAX_TOTAL[q.dtype],
            VEC=VEC,
            num_warps=config.num_warps,
            num_stages=config.num_stages,
        )
    return out


def readable(tensor: Tensor) -> Tensor:
    """Return `tensor` as it is if the kernel can read it in place, else a contiguous copy.

    It can if channels are contiguous and every other stride is a multiple of VEC elements.
    Projections and views of a joint projection are; only unusual views need the copy.
    """
    strides = [s for s, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]
    *outer, inner = (*strides[:-1], tensor.stride(-1))
    aligned = all(stride % VEC == 0 for stride in outer) and tensor.data_ptr() % 16 == 0
    if inner == 1 and aligned and tensor.stride(1) < MAX_TOKEN_STRIDE:
        return tensor
    return tensor.contiguous().clone() if tensor.data_ptr() % 16 else tensor.contiguous()
