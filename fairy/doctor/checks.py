"""The checks that `fairy doctor` prints: what an edit would run on, and what is missing.

Tests: tests/doctor/test_checks.py; the command: fairy/cli/doctor.py.
"""

from __future__ import annotations

import importlib.util
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch

from fairy.anchors.backends import choose_backend
from fairy.errors import MediaError
from fairy.media.encoding.codecs import CODECS, CONTAINERS, check_support
from fairy.models.sources import MINI
from fairy.system import GIB, versions

EXTRAS = {
    "app": ("gradio",),
    "train": ("accelerate", "kornia", "yaml"),
    "lora": ("peft",),
    "c2pa": ("c2pa",),
    "upscale": ("spandrel",),
}


@dataclass(frozen=True)
class Check:
    """One check: "ok", "note" (edits run without it) or "missing" (an edit cannot run)."""

    name: str
    state: Literal["ok", "note", "missing"]
    text: str


def examine() -> list[Check]:
    """Return the results of all checks, in print order."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return [
        Check("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        Check("libraries", "ok", ", ".join(_libraries())),
        _device(device),
        Check("attention", "ok", _attention(device)),
        _triton(),
        _containers(),
        bundled_model(MINI),
        _memory(device),
        *(_extra(name, modules) for name, modules in EXTRAS.items()),
    ]


def _libraries() -> list[str]:
    """Return names and versions of the libraries that have no check of their own."""
    apart = ("python", "platform", "triton")
    return [f"{name} {version}" for name, version in versions().items() if name not in apart]


def _device(device: torch.device) -> Check:
    if device.type == "cuda":
        return Check("device", "ok", f"{torch.cuda.get_device_name()} ({device}), float16")
    cores = os.cpu_count()
    return Check("device", "note", f"no CUDA device: {cores} CPU cores, float32; slow, but it runs")


def _attention(device: torch.device) -> str:
    backend = choose_backend("auto", device)
    return f"{backend.name}: {backend.reason}"


def _triton() -> Check:
    if importlib.util.find_spec("triton") is None:
        return Check("triton", "note", "not installed; not needed on this device")
    return Check("triton", "ok", versions()["triton"])


def _containers() -> Check:
    missing = []
    for suffix, kind in CONTAINERS.items():
        try:
            check_support(CODECS[kind.codecs[0]])
        except MediaError:
            missing.append(f"{suffix} ({kind.codec})")
    if missing:
        return Check("containers", "missing", f"cannot write {', '.join(missing)}: pip install av")
    codecs = ", ".join(f"{suffix} ({kind.codec})" for suffix, kind in CONTAINERS.items())
    return Check("containers", "ok", f"{codecs}, folders of PNGs")


def bundled_model(folder: Path) -> Check:
    """Check that the model in `folder` is there, and report its size."""
    if not (folder / "model_index.json").is_file():
        return Check("mini", "missing", f"no model in {folder}: reinstall fairy-video")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Check("mini", "ok", f"{size / 1e6:.1f} MB in {folder}")


def _memory(device: torch.device) -> Check:
    memory = psutil.virtual_memory()
    text = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free on the GPU; {text} in the machine"
    return Check("memory", "ok", text)


def _extra(name: str, modules: tuple[str, ...]) -> Check:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        return Check(
            f"[{name}]", "note", f"no {', '.join(missing)}: pip install 'fairy-video[{name}]'"
        )
    return Check(f"[{name}]", "ok", ", ".join(modules))
