"""Everything that is ComfyUI's: no other file of this folder imports it.

Written for the API `comfy_api.latest` (V3 nodes), as of ComfyUI 0.3.64.
Tests: tests/integrations/test_comfyui.py, test_comfyui_server.py.
"""

from __future__ import annotations

import io as streams
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import ComfyExtension, InputImpl, io

__all__ = [
    "ComfyExtension",
    "ManagedModel",
    "NodeProgress",
    "io",
    "model_folders",
    "scratch_folder",
    "source_of",
    "video_of",
]

MODEL_FOLDER = "fairy"
PREVIEW_PX = 512
# Previews for every so many frames: each is a JPEG over the websocket
PREVIEW_STEP = 8

folder_paths.add_model_folder_path(
    MODEL_FOLDER, os.path.join(folder_paths.models_dir, MODEL_FOLDER), is_default=True
)


def model_folders() -> dict[str, Path]:
    """Return the models in ComfyUI's `models/fairy` by name: folders in diffusers format."""
    found = {}
    for root in folder_paths.get_folder_paths(MODEL_FOLDER):
        for index in sorted(Path(root).glob("*/model_index.json")):
            found.setdefault(index.parent.name, index.parent)
    return found


def scratch_folder() -> Path:
    """Return a new folder, which ComfyUI deletes when it starts or ends.

    Each result has one of its own: a name used twice would change results that ComfyUI has cached.
    """
    root = Path(folder_paths.get_temp_directory())
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="fairy-", dir=root))


def source_of(video: Any, scratch: Path) -> tuple[Path, float, float | None]:
    """Return a VIDEO as (file, first second, second after the last or None for its end).

    A trim that is not applied yet becomes times; a crop or another size is applied by ComfyUI.
    """
    start, length = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
    if getattr(video, "has_pending_frame_edits", lambda: False)():
        path = scratch / "source.mp4"
        video.save_to(str(path))
        return path, 0.0, None
    source = video.get_stream_source()
    if isinstance(source, streams.BytesIO):
        path = scratch / "source"
        with path.open("wb") as file:
            shutil.copyfileobj(source, file)
    else:
        path = Path(source)
    return path, start, start + length if length else None


def video_of(path: Path) -> Any:
    """Return a file as a VIDEO."""
    return InputImpl.VideoFromFile(str(path))


class NodeProgress:
    """Shows an edit's progress on the node, with pictures, and stops it when the user asks.

    It raises ComfyUI's own exception, which must reach ComfyUI.

    Args:
        preview_step: a picture is shown of every so many frames.
    """

    def __init__(self, preview_step: int = PREVIEW_STEP) -> None:
        from comfy.utils import ProgressBar

        self._bar, self._preview_step = ProgressBar(1), preview_step
        self._preview: Any = None
        check_interrupted()

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` frames are done."""
        check_interrupted()
        self._bar.update_absolute(done, total, self._preview)
        self._preview = None

    def stage(self, name: str) -> None:
        """Stop between stages if asked to."""
        check_interrupted()

    def picture(self, index: int, image: Any) -> None:
        """Show every few frames; `image` is uint8 (H,W,3)."""
        if index % self._preview_step == 0:
            from PIL import Image

            self._preview = ("JPEG", Image.fromarray(image), PREVIEW_PX)


def check_interrupted() -> None:
    """Raise ComfyUI's exception if the user has pressed Cancel."""
    import comfy.model_management

    comfy.model_management.throw_exception_if_processing_interrupted()


def devices() -> tuple[Any, Any]:
    """Return ComfyUI's (device to compute on, device for models that wait)."""
    import comfy.model_management as management

    return management.get_torch_device(), management.unet_offload_device()


class ManagedModel:
    """Modules that ComfyUI's memory manager loads, and unloads when others need the memory."""

    def __init__(self, modules: Iterable[Any]) -> None:
        import torch
        from comfy.model_patcher import ModelPatcher

        # The patcher sets attributes, such as `device`, that diffusers' modules do not let it set
        together = torch.nn.Module()
        for number, module in enumerate(modules):
            together.add_module(str(number), module)
        load_device, offload_device = devices()
        self._patcher = ModelPatcher(together, load_device, offload_device)

    def load(self) -> None:
        """Bring all modules to the device, whole; others leave it if there is no room."""
        import comfy.model_management

        comfy.model_management.load_models_gpu([self._patcher], force_full_load=True)
