"""Optional ways to run the UNet: compiled with torch.compile, or in float8 with torchao.

Compiled: the first run takes minutes. The frames' pass is compiled for one frame batch size:
smaller batches are padded, and what changes from step to step (the anchors' keys and values) is
looked up outside. The anchors' pass has another size and runs uncompiled. torch keeps compiled code
on disk (TORCHINDUCTOR_CACHE_DIR, or torchinductor_USER in the folder for temporary files), so a
second run with the same model, size and batch starts faster. benchmarks/NOTES.md shows when it
is worth it.

Float8: dynamic quantisation on cards that compute in float8. Weights and the inputs of a layer are
float8, with one scale per tensor that is computed at run time. Only layers in transformer blocks
are converted: the timestep embeddings are small and sensitive, and torchao's float8 convolution
needs another package. Not run on a card yet.

Tests: tests/editors/test_compute.py.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from fairy.errors import SettingsError

CPP_COMPILERS = ("g++", "clang++", "cl")


def check_compile(device: torch.device) -> None:
    """Check that torch can compile on this machine.

    Raises:
        SettingsError: something that torch needs to compile for the device is missing.
    """
    if device.type == "cuda":
        missing = None if importlib.util.find_spec("triton") else "Triton, which is not installed"
    elif device.type == "cpu":
        named = os.environ.get("CXX")
        found = any(map(shutil.which, (named,) if named else CPP_COMPILERS))
        missing = None if found else f"a C++ compiler ({named or ', '.join(CPP_COMPILERS)})"
    else:
        missing = f"CUDA or a CPU, but the device is {device.type}"
    if missing is not None:
        raise SettingsError(f"compile needs {missing}; leave --compile out")


def compile_unet(
    unet: UNet2DConditionModel, backend: str | Callable[..., Any] = "inductor", **options: Any
) -> None:
    """Make the UNet compile, for fixed shapes, when it first runs.

    Args:
        unet: the model.
        backend: torch.compile's.
        **options: other options of torch.compile, such as `fullgraph`.

    Raises:
        SettingsError: inductor finds no compiler.
    """
    if backend == "inductor":
        check_compile(unet.device)
    unet.compile(backend=backend, dynamic=False, **options)


def is_compiled(unet: UNet2DConditionModel) -> bool:
    """Return whether the UNet is compiled, by `compile_unet` or torch's own `compile`."""
    return unet._compiled_call_impl is not None


@contextmanager
def not_compiled() -> Iterator[None]:
    """Run compiled modules uncompiled inside the block."""
    with torch.compiler.set_stance("force_eager"):
        yield


def filled_up(rows: Tensor, num_rows: int) -> Tensor:
    """Return rows (F,...), padded with copies of the last to at least `num_rows`."""
    missing = max(0, num_rows - rows.shape[0])
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows


# Ada: the first cards with float8 matrix units
LEAST_CAPABILITY = (8, 9)
# Both dimensions of a weight must be multiples of this (torch._scaled_mm)
SIDE_MULTIPLE = 16


def check_fp8(device: torch.device) -> None:
    """Check that a device computes in float8.

    Raises:
        SettingsError: the device is not a CUDA card, or is too old.
    """
    if device.type != "cuda":
        what = f"the device is {device.type}"
    else:
        capability = torch.cuda.get_device_capability(device)
        if capability >= LEAST_CAPABILITY:
            return
        what = f"{torch.cuda.get_device_name(device)} has {'.'.join(map(str, capability))}"
    raise SettingsError(
        f"fp8 needs a CUDA card of compute capability {'.'.join(map(str, LEAST_CAPABILITY))} or "
        f"higher, but {what}; leave --fp8 out"
    )


def to_fp8(unet: UNet2DConditionModel) -> None:
    """Convert the linear layers of the UNet's transformer blocks to float8 in place.

    Raises:
        SettingsError: the UNet's device does not compute in float8, or torchao is missing.
    """
    check_fp8(unet.device)
    try:
        from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, quantize_
    except ImportError as error:
        raise SettingsError(
            "fp8 needs the package torchao: pip install 'fairy-video[fp8]'"
        ) from error
    quantize_(unet, Float8DynamicActivationFloat8WeightConfig(), filter_fn=_is_chosen)


def _is_chosen(module: nn.Module, name: str) -> bool:
    """Return whether to convert a module of the UNet, given its full name."""
    return (
        isinstance(module, nn.Linear)
        and "transformer_blocks" in name.split(".")
        and all(side % SIDE_MULTIPLE == 0 for side in module.weight.shape)
    )
