"""torch.compile for the UNet: asked for by the user, since it takes minutes before it gives any.

The frames' pass is compiled once for one frame batch size: a batch of fewer frames is filled up,
and what changes from step to step (the anchors' keys and values) is looked up outside. The anchors'
pass is one batch of another size, and runs as it is. torch keeps compiled code on disk (in
TORCHINDUCTOR_CACHE_DIR, or torchinductor_USER in the folder for temporary files), so that a second
run of the same model, size and batch begins sooner. benchmarks/NOTES.md tells when it pays.
Tests: tests/editing/test_compiled.py.
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
from torch import Tensor

from fairy.errors import SettingsError

CPP_COMPILERS = ("g++", "clang++", "cl")


def check_compile(device: torch.device) -> None:
    """Refuse a machine on which torch cannot compile.

    Raises:
        SettingsError: what it needs for the device is not installed.
    """
    if device.type == "cuda":
        missing = None if importlib.util.find_spec("triton") else "Triton, which is not installed"
    elif device.type == "cpu":
        named = os.environ.get("CXX")
        found = any(map(shutil.which, (named,) if named else CPP_COMPILERS))
        missing = None if found else f"a C++ compiler ({named or ', '.join(CPP_COMPILERS)})"
    else:
        missing = f"CUDA or a CPU, and this is {device.type}"
    if missing is not None:
        raise SettingsError(f"compile needs {missing}; leave --compile out")


def compile_unet(
    unet: UNet2DConditionModel, backend: str | Callable[..., Any] = "inductor", **options: Any
) -> None:
    """Let torch compile the UNet when it first runs, in place; shapes are taken as fixed.

    Args:
        unet: the model.
        backend: torch.compile's.
        **options: others of torch.compile, such as `fullgraph`.

    Raises:
        SettingsError: the compiler of the usual backend is missing.
    """
    if backend == "inductor":
        check_compile(unet.device)
    unet.compile(backend=backend, dynamic=False, **options)


def is_compiled(unet: UNet2DConditionModel) -> bool:
    """Return whether the UNet runs compiled, by `compile_unet` or torch's own `compile`."""
    return unet._compiled_call_impl is not None


@contextmanager
def not_compiled() -> Iterator[None]:
    """Run compiled modules as they were written."""
    with torch.compiler.set_stance("force_eager"):
        yield


def filled_up(rows: Tensor, num_rows: int) -> Tensor:
    """Return rows (F,...) with the last one repeated up to `num_rows`, if they are fewer."""
    missing = max(0, num_rows - rows.shape[0])
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows
