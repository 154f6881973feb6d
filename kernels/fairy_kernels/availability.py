"""Whether the Triton kernel can run here, and if not, why. Does not import Triton.

Tests: tests/kernels/test_availability.py.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable

import torch

from fairy_kernels.launch_config import MAX_HEAD_DIM, TUNED_HEAD_DIMS, find_measured

# The first with bfloat16 tensor cores and asynchronous copies
MIN_CAPABILITY = (8, 0)


def why_not(device: torch.device, head_dims: Iterable[int] = ()) -> str | None:
    """Return why the kernel cannot run, as a message for users; None when it can.

    Args:
        device: where the tensors are.
        head_dims: the model's head dimensions.
    """
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    if device.type != "cuda" and not (device.type == "cpu" and interpreted()):
        return f"Triton runs on CUDA devices, not on {device.type}"
    if device.type == "cuda" and torch.version.hip is None:
        capability = torch.cuda.get_device_capability(device)
        if capability < MIN_CAPABILITY:
            return f"compute capability {capability[0]}.{capability[1]} is below 8.0"
    for head_dim in sorted(set(head_dims)):
        if head_dim % 8 or head_dim > MAX_HEAD_DIM:
            return f"head dim {head_dim} is not a multiple of 8 up to {MAX_HEAD_DIM}"
    return None


def why_not_chosen(device: torch.device, head_dims: Iterable[int] = ()) -> str | None:
    """Return why `--backend auto` should not choose the kernel; None when it should.

    The kernel is chosen when it can run (`why_not`) and `launch_config` has a row measured on this
    card that is faster than SDPA, for each of `head_dims` (all tuned ones if there are none).
    """
    reason = why_not(device, head_dims)
    if reason is not None:
        return reason
    if device.type == "cpu":
        return "on the CPU, Triton only runs in its interpreter"
    for head_dim in sorted(set(head_dims) or TUNED_HEAD_DIMS):
        if not find_measured(head_dim, device):
            return (
                "no measurement shows the Triton kernel to be faster on this card at head dim "
                f"{head_dim}: ask for it by name, or run python -m fairy_kernels.tune "
                f"--head-dim {head_dim}"
            )
    return None


def interpreted() -> bool:
    """Return True when Triton runs kernels in its CPU interpreter (TRITON_INTERPRET)."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on")
