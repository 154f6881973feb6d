"""How attention is computed: "triton" | "sdpa" | "reference", chosen here and nowhere else.

A backend is two functions: `attend` (anchors among themselves) and `attend_anchors` (a frame batch
with the cached anchors). Shapes: q, k, v (B,N,H,D), B = G*F; k_anchor, v_anchor (G,M,H,D).
`anchor_bias` is added to the anchors' scaled scores: their weights are multiplied by its exp.
The specification is `fairy_kernels.reference`; measurements are in benchmarks/NOTES.md.
Tests: tests/anchors/test_backends.py.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from fairy.errors import SettingsError
from fairy.settings import BACKENDS
from fairy_kernels.availability import why_not, why_not_chosen
from fairy_kernels.reference import (
    anchor_attention_reference,
    attention_reference,
    frames_per_group,
)
from fairy_kernels.sdpa import anchor_attention_concatenated, sdpa

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backend:
    """One way to compute attention.

    Attributes:
        name: "triton", "sdpa" or "reference".
        reason: why it was chosen, for the log and the report.
        attend: (q, k, v) -> softmax(q k^T / sqrt(D)) v.
        attend_anchors: (q, k, v, k_anchor, v_anchor) -> the same over [k, k_anchor], with the
            anchors' weights multiplied by their strength.
    """

    name: str
    reason: str
    attend: Callable[[Tensor, Tensor, Tensor], Tensor]
    attend_anchors: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def choose_backend(
    name: str | Backend,
    device: torch.device,
    head_dims: Collection[int] = (),
    strength: float = 1.0,
) -> Backend:
    """Return the backend that runs on `device`, and log it with the reason.

    "auto" chooses the Triton kernel if a measurement on this card showed it to be faster
    (`fairy_kernels.tune`).

    Args:
        name: "auto"; or a backend by name, which is never replaced by another; or a `Backend`
            object, which is returned unchanged (`fairy.anchors.attention_hooks`).
        device: where the model runs.
        head_dims: the head dimensions of the model's self-attention.
        strength: factor on the anchors' weights; 1 is the paper, 0 leaves them out.

    Raises:
        SettingsError: an unknown backend, or one that cannot run here.
    """
    if isinstance(name, Backend):
        return name
    if name not in BACKENDS:
        raise SettingsError(f"backend {name!r} is unknown: use {', '.join(BACKENDS)}")
    anchor_bias = math.log(strength) if strength > 0 else -math.inf
    missing = (why_not_chosen if name == "auto" else why_not)(device, head_dims)
    if name == "triton" and missing is not None:
        raise SettingsError(f"backend 'triton' cannot run: {missing}; use sdpa or auto")
    if name == "reference":
        backend = _reference(device, anchor_bias)
    elif name == "sdpa" or missing is not None:
        backend = _sdpa("asked for" if missing is None or name == "sdpa" else missing, anchor_bias)
    else:
        backend = _triton("asked for" if name == "triton" else "measured faster", anchor_bias)
    logger.info("attention backend %s on %s: %s", backend.name, device, backend.reason)
    return backend


def _triton(reason: str, anchor_bias: float) -> Backend:
    # Imports Triton, which may be missing
    from fairy_kernels.anchor_attention import anchor_attention, attention

    return Backend("triton", reason, attention, partial(anchor_attention, anchor_bias=anchor_bias))


def _reference(device: torch.device, anchor_bias: float) -> Backend:
    # Apple's GPUs lack float64
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return Backend(
        "reference",
        "asked for",
        partial(attention_reference, dtype=dtype),
        partial(anchor_attention_reference, dtype=dtype, anchor_bias=anchor_bias),
    )


def _sdpa(reason: str, anchor_bias: float) -> Backend:
    # Not `anchor_attention_merged`: it is a little faster on the CPU, but its last bits depend on
    # which frames share a batch (blocks of queries, vectorised `sigmoid`); not measured on CUDA
    attend_anchors = partial(anchor_attention_concatenated, anchor_bias=anchor_bias)
    return Backend("sdpa", reason, sdpa, attend_anchors)


def anchor_attention_merged(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    k_anchor: Tensor,
    v_anchor: Tensor,
    *,
    anchor_bias: float = 0.0,
) -> Tensor:
    """Return anchor attention by two calls, merged by log-sum-exp, without copying the anchors.

    The second call has one batch per group: (G,F*N,H,D) queries against M anchor keys. If lse is
    the log of a softmax's denominator, the softmax over both key sets gives the anchors the weight
    exp(lse_anchor) / (exp(lse) + exp(lse_anchor)).
    """
    frames_per_group(q, k_anchor)
    folded = q.reshape(k_anchor.shape[0], -1, *q.shape[2:])
    out_anchor, lse_anchor = attention_with_lse(folded, k_anchor, v_anchor)
    out, lse = attention_with_lse(q, k, v)
    weight = torch.sigmoid(lse_anchor.reshape(lse.shape) + anchor_bias - lse).unsqueeze(-1)
    return torch.lerp(out, out_anchor.reshape(out.shape), weight.to(out.dtype))


def attention_with_lse(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return attention (B,N,H,D) and the log-sum-exp of its scores (B,N,H), float32.

    torch returns the latter only from the operators that `scaled_dot_product_attention` calls.

    Raises:
        SettingsError: torch has no such operator for the device.
    """
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    aten = torch.ops.aten
    if q.device.type == "cpu":
        out, lse = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)
    elif q.device.type != "cuda":
        raise SettingsError(f"no log-sum-exp on {q.device}: attend on the concatenation")
    elif q.dtype == torch.float32:
        out, lse, *_ = aten._scaled_dot_product_efficient_attention(q, k, v, None, True)
    else:
        out, lse, *_ = aten._scaled_dot_product_flash_attention(q, k, v)
    # The efficient kernel pads the number of queries to a multiple of 32
    return out.transpose(1, 2), lse[..., : q.shape[2]].transpose(1, 2)
