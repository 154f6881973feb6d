"""A tiny random super-resolution model in a file that spandrel reads."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch


def require_spandrel() -> ModuleType:
    """Import spandrel, also where there is no torchvision.

    Two of its architectures, not used here, import functions from torchvision. A torchvision that
    does not match torch breaks diffusers, so the development environment has none.
    """
    pytest.importorskip("einops")
    if importlib.util.find_spec("torchvision") is not None:
        return pytest.importorskip("spandrel", exc_type=Exception)
    functional = "torchvision.transforms.functional"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("torchvision", "torchvision.transforms", functional):
            patch.setitem(sys.modules, name, ModuleType(name))
        for name in ("normalize", "rotate", "InterpolationMode"):
            patch.setattr(sys.modules[functional], name, None, raising=False)
        return pytest.importorskip("spandrel")


def save_model(path: Path, *, scale: int = 2, seed: int = 0) -> Path:
    """Write a random model of the kind of Real-ESRGAN's small ones, which enlarges by `scale`."""
    require_spandrel()
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(seed)
    model = SRVGGNetCompact(num_feat=8, num_conv=2, upscale=scale)
    torch.save({"params": model.state_dict()}, path)
    return path
