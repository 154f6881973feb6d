"""What our nodes use of ComfyUI, as small as it can be: to run them where there is no ComfyUI.

Only what is checked against the real one in test_comfyui_server.py.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

NODES = Path(__file__).parents[2] / "integrations" / "comfyui"
PACKAGE = "fairy_comfyui"


class Interrupted(Exception):
    """ComfyUI's exception for a cancelled graph."""


@dataclass
class StandIn:
    """The nodes, and what they told ComfyUI.

    Attributes:
        nodes: the module `nodes` of the integration.
        temp: ComfyUI's folder for temporary files.
        models: its folder for models.
        reports: progress as (done, total, preview or None).
        stop_at: raise `Interrupted` when so many reports have come.
    """

    temp: Path
    models: Path
    nodes: Any = None
    reports: list[tuple[int, int, Any]] = field(default_factory=list)
    stop_at: int | None = None

    def check(self) -> None:
        if self.stop_at is not None and len(self.reports) >= self.stop_at:
            raise Interrupted


class Video:
    """A VIDEO of a file; `crop` and `trim` are edits that are not applied yet."""

    def __init__(self, path: str, trim: tuple[float, float] | None = None) -> None:
        self.path = path
        if trim is not None:
            self.get_active_trim_window = lambda: trim

    def get_stream_source(self) -> Any:
        return self.path


def install(patch: pytest.MonkeyPatch, folder: Path) -> StandIn:
    """Put the stand-ins in place of ComfyUI's modules, and import our nodes."""
    here = StandIn(folder / "temp", folder / "models")
    modules = {
        "folder_paths": _folder_paths(here),
        "comfy_api": ModuleType("comfy_api"),
        "comfy_api.latest": _api(),
        "comfy": ModuleType("comfy"),
        "comfy.utils": _utils(here),
        "comfy.model_management": _management(here),
        "comfy.model_patcher": _module("comfy.model_patcher", ModelPatcher=_Patcher),
    }
    for name, module in modules.items():
        patch.setitem(sys.modules, name, module)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        patch.delitem(sys.modules, name)
    spec = importlib.util.spec_from_file_location(
        PACKAGE, NODES / "__init__.py", submodule_search_locations=[str(NODES)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    patch.setitem(sys.modules, PACKAGE, package)
    spec.loader.exec_module(package)
    here.nodes = importlib.import_module(f"{PACKAGE}.nodes")
    return here


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(content)
    return module


def _folder_paths(here: StandIn) -> ModuleType:
    folders: dict[str, list[str]] = {}
    return _module(
        "folder_paths",
        models_dir=str(here.models),
        add_model_folder_path=lambda name, path, is_default: folders.update({name: [path]}),
        get_folder_paths=lambda name: folders[name],
        get_temp_directory=lambda: str(here.temp),
    )


def _io(kind: str) -> SimpleNamespace:
    def put_in(name: str, **options: Any) -> SimpleNamespace:
        return SimpleNamespace(kind=kind, id=name, **options)

    return SimpleNamespace(
        Input=put_in, Output=lambda **options: SimpleNamespace(kind=kind, **options)
    )


def _api() -> ModuleType:
    kinds = ("Combo", "Int", "Float", "String", "Boolean", "Image", "Mask", "Video")
    io = SimpleNamespace(
        **{kind: _io(kind) for kind in kinds},
        Custom=_io,
        ComfyNode=object,
        Schema=SimpleNamespace,
        NodeOutput=lambda *args: args,
    )
    return _module(
        "comfy_api.latest",
        ComfyExtension=object,
        InputImpl=SimpleNamespace(VideoFromFile=Video),
        io=io,
    )


def _utils(here: StandIn) -> ModuleType:
    def bar(total: int) -> SimpleNamespace:
        return SimpleNamespace(update_absolute=lambda *report: here.reports.append(report))

    return _module("comfy.utils", ProgressBar=bar)


def _management(here: StandIn) -> ModuleType:
    return _module(
        "comfy.model_management",
        throw_exception_if_processing_interrupted=here.check,
        get_torch_device=lambda: torch.device("cpu"),
        unet_offload_device=lambda: torch.device("cpu"),
        load_models_gpu=lambda patchers, force_full_load: [
            one.model.to(one.load_device) for one in patchers
        ],
    )


@dataclass
class _Patcher:
    model: Any
    load_device: Any
    offload_device: Any
