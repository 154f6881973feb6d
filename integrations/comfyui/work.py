"""What the nodes do, by Fairy's Python interface. Imported when a node runs: it imports torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PilImage

from fairy.control.keyframes import picture_name
from fairy.editors.base import Editor
from fairy.editors.loading import load_editor
from fairy.errors import SettingsError
from fairy.jobs.edit import edit_video as edit_file
from fairy.jobs.plan import EditRequest
from fairy.jobs.preview import preview_anchors
from fairy.media.enlarge import enlarge
from fairy.media.read import read_frames
from fairy.media.write import write_video
from fairy.settings import Compute, EditConfig, MediaConfig

from .host import ManagedModel, NodeProgress, devices, scratch_folder, source_of, video_of
from .inputs import settings as settings_of

LOSSLESS = MediaConfig(codec="ffv1")


@dataclass(frozen=True)
class FairyModel:
    """A loaded model under ComfyUI's memory manager; `name` is for the metadata of results."""

    name: str
    editor: Editor
    managed: ManagedModel


def load_model(name: str, dtype: str = "auto", lora: str = "") -> FairyModel:
    """Load a model by its name, folder or hub id, to where ComfyUI keeps models that wait."""
    device, _ = devices()
    if dtype == "auto" and device.type != "cpu":
        dtype = "float16"
    loras: Any = lora or ()
    editor = load_editor(Compute(model=name, device="cpu", dtype=dtype, lora=loras))
    parts = getattr(editor, "pipe", editor).components.values()
    modules = [part for part in parts if isinstance(part, torch.nn.Module)]
    return FairyModel(name, editor, ManagedModel(modules))


def edit_video(model: FairyModel, video: Any, instruction: str, given: dict[str, Any]) -> Any:
    """Edit a VIDEO; return the result as one."""
    with _scratch(keep="edited.mp4") as folder:
        source, start_s, end_s = source_of(video, folder)
        config = settings_of(given, model=model.name, start_s=start_s or None, end_s=end_s)
        _edit(model, source, instruction, folder / "edited.mp4", config)
        return video_of(folder / "edited.mp4")


def edit_frames(
    model: FairyModel,
    images: torch.Tensor,
    instruction: str,
    given: dict[str, Any],
    mask: torch.Tensor | None,
    anchors: tuple[torch.Tensor | None, str],
) -> torch.Tensor:
    """Edit an IMAGE (T,H,W,3) of floats in [0,1]; return another.

    Args:
        model: the model.
        images: the frames.
        instruction: what to change.
        given: the node's settings.
        mask: (1,H,W) or (T,H,W), 1 where frames may change.
        anchors: edited frames (A,H,W,3), and their numbers as text.
    """
    with _scratch() as folder:
        source = folder / "frames.mkv"
        write_video(_uint8(images), source, 25, media=LOSSLESS)
        others: dict[str, Any] = {"keyframe": _keyframes(*anchors, len(images), folder)}
        if mask is not None:
            others["mask"] = str(_masks(mask, folder / "mask"))
        config = settings_of(given, model=model.name, **others)
        _edit(model, source, instruction, folder / "edited", config)
        made = [torch.from_numpy(one.image) for one in read_frames(folder / "edited")]
        return torch.stack(made).float() / 255


def edit_anchors(
    model: FairyModel, video: Any, instruction: str, given: dict[str, Any]
) -> tuple[torch.Tensor, str]:
    """Edit only the anchors of a VIDEO; return (A,H,W,3) in [0,1], and their numbers."""
    with _scratch() as folder:
        source, start_s, end_s = source_of(video, folder)
        config = settings_of(given, model=model.name, start_s=start_s or None, end_s=end_s)
        request = EditRequest.of(source, instruction, folder / "none.mp4", config)
        model.managed.load()
        progress = NodeProgress(preview_step=1)
        found = preview_anchors(request, editor=model.editor, progress=progress)
        made = [
            enlarge(one.source, one.edited, one.source.shape[:2], method=config.enlarge)
            for one in found
        ]
        return _floats(made), ",".join(str(one.index) for one in found)


def _edit(model: FairyModel, source: Path, instruction: str, out: Path, config: EditConfig) -> None:
    model.managed.load()
    edit_file(source, instruction, out, config, pipeline=model.editor, progress=NodeProgress())


@contextmanager
def _scratch(keep: str | None = None) -> Iterator[Path]:
    """Yield a new folder; only the file `keep` remains of it, and nothing after an exception."""
    folder = scratch_folder()
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder)
        raise
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != keep:
            path.unlink()
    if keep is None:
        folder.rmdir()


def _keyframes(
    images: torch.Tensor | None, frames: str, num_frames: int, folder: Path
) -> tuple[str, ...]:
    """Write edited anchors as pictures; return them as the setting `keyframe` names them."""
    numbers = [int(one) for one in frames.replace(",", " ").split() if one.isdecimal()]
    count = 0 if images is None else len(images)
    if len(numbers) != count or any(number >= num_frames for number in numbers):
        raise SettingsError(
            f"anchor_frames {frames!r}: give the numbers of the {count} anchor_images, from 0 to "
            f"{num_frames - 1}, as in 20,60"
        )
    named = []
    for number, image in zip(numbers, [] if images is None else images, strict=True):
        path = folder / picture_name(number)
        PilImage.fromarray(_uint8(image)).save(path)
        named.append(f"{number}={path}")
    return tuple(named)


def _masks(mask: torch.Tensor, folder: Path) -> Path:
    """Write a MASK (T,H,W) as a folder of pictures, or (1,H,W) as one."""
    folder.mkdir()
    for number, one in enumerate(mask.reshape(-1, *mask.shape[-2:])):
        PilImage.fromarray(_uint8(one)).save(folder / f"{number:06}.png")
    return folder / "000000.png" if number == 0 else folder


def _uint8(values: torch.Tensor) -> Any:
    """Return floats in [0,1] as a uint8 array; without a fourth channel, which is opacity."""
    if values.ndim > 2 and values.shape[-1] == 4:
        values = values[..., :3]
    return (values.cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _floats(images: list[Any]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).float() / 255
