"""Enlarge finished frames beyond the result's size: Lanczos, or a model that spandrel reads.

A model gets the picture in tiles with a margin of their surroundings, so its memory depends on
`TILE_PX` and not on the picture. Shapes: images uint8 (H,W,3).
Tests: tests/media/test_upscale.py.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from fairy.errors import ModelError, NumbersError, SettingsError, first_line
from fairy.media.colours import Image
from fairy.settings import MAX_SIZE, PLAIN_UPSCALE

TILE_PX = 256
# Most models of this kind see no further than this
MARGIN_PX = 32


class Upscaler(Protocol):
    """Enlarges images (H,W,3) to (factor * H, factor * W, 3)."""

    factor: int

    def __call__(self, image: Image) -> Image:
        """Return the enlarged image."""


class LanczosUpscaler:
    """The plain way: Lanczos over 8x8 pixels, which adds no detail and needs no model."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, image: Image) -> Image:
        """Return the enlarged image."""
        height, width = image.shape[:2]
        size = (self.factor * width, self.factor * height)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LANCZOS4), np.uint8)


class ModelUpscaler:
    """A super-resolution model, applied tile by tile.

    Args:
        path: a file that spandrel reads, such as .pth or .safetensors.
        device: where it runs; in float16 on a GPU, if the model supports that.

    Raises:
        SettingsError: spandrel is missing.
        ModelError: the file is no model that enlarges RGB images.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path = path
        model = _load(path)
        if not all((model.input_channels == 3, model.output_channels == 3, model.purpose == "SR")):
            raise ModelError(
                f"{path}: its purpose is {model.purpose}, from {model.input_channels} channels to "
                f"{model.output_channels}: give a super-resolution model for RGB images"
            )
        self.factor: int = model.scale
        self._dtype = torch.float32
        if device.type == "cuda" and (model.supports_half or model.supports_bfloat16):
            self._dtype = torch.float16 if model.supports_half else torch.bfloat16
        self._model = model.to(device, self._dtype).eval()
        self._device = device
        self._tile_px = 10**9 if model.tiling.name == "INTERNAL" else TILE_PX

    def __call__(self, image: Image) -> Image:
        """Return the enlarged image."""
        height, width = image.shape[:2]
        factor = self.factor
        result = np.empty((factor * height, factor * width, 3), np.uint8)
        for rows, outer_rows in _tiles(height, self._tile_px):
            for columns, outer_columns in _tiles(width, self._tile_px):
                made = self._enlarged(image[outer_rows, outer_columns])
                y, x = rows.start - outer_rows.start, columns.start - outer_columns.start
                part = made[
                    factor * y : factor * (y + rows.stop - rows.start),
                    factor * x : factor * (x + columns.stop - columns.start),
                ]
                result[_times(rows, factor), _times(columns, factor)] = part
        return result

    def _enlarged(self, image: Image) -> Image:
        """Return one tile (H,W,3) through the model."""
        tensor = torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1)
        made = self._model(tensor[None].to(self._dtype) / 255)[0].float()
        if not bool(torch.isfinite(made).all()):
            raise NumbersError(
                f"--upscale {self._path}: the model computed NaN or infinity: use another, or 2x"
            )
        levels = (made.clamp(0, 1) * 255).round().to(torch.uint8)
        return np.asarray(levels.permute(1, 2, 0).cpu().numpy(), np.uint8)


def load_upscaler(upscale: str, device: torch.device) -> Upscaler:
    """Return what the setting `upscale` names.

    Raises:
        SettingsError, ModelError: as for `ModelUpscaler`, or there is no such file.
    """
    if re.fullmatch(PLAIN_UPSCALE, upscale):
        return LanczosUpscaler(int(upscale[0]))
    if not Path(upscale).is_file():
        raise SettingsError(
            f"--upscale {upscale}: no such file: give 2x, 3x, 4x, or the file of a model"
        )
    return ModelUpscaler(Path(upscale), device)


def upscaled(size: tuple[int, int], factor: int) -> tuple[int, int]:
    """Return the enlarged (height, width).

    Raises:
        SettingsError: it is larger than `MAX_SIZE`.
    """
    height, width = (factor * side for side in size)
    if max(height, width) > MAX_SIZE:
        raise SettingsError(
            f"--upscale: {size[1]}x{size[0]} would become {width}x{height}, and {MAX_SIZE} is the "
            "limit: use a smaller factor, or --enlarge none to start from the model's size"
        )
    return height, width


def _load(path: Path) -> Any:
    """Return spandrel's description of the model in a file."""
    try:
        import spandrel
    except ImportError as error:
        raise SettingsError(
            "--upscale with a model needs the package spandrel: "
            "pip install 'fairy-video[upscale]', or use 2x"
        ) from error
    kinds = (spandrel.UnsupportedModelError, ValueError, RuntimeError, KeyError, EOFError, OSError)
    try:
        model = spandrel.ModelLoader().load_from_file(path)
    except (*kinds, pickle.UnpicklingError) as error:
        raise ModelError(f"{path}: spandrel cannot load it: {first_line(error)}") from error
    if not isinstance(model, spandrel.ImageModelDescriptor):
        raise ModelError(f"{path}: its purpose is {model.purpose}: give a super-resolution model")
    return model


def _tiles(length: int, tile: int) -> Iterator[tuple[slice, slice]]:
    """Yield the tiles of one side: what is kept, and what the model sees."""
    for first in range(0, length, tile):
        end = min(first + tile, length)
        yield slice(first, end), slice(max(0, first - MARGIN_PX), min(length, end + MARGIN_PX))


def _times(part: slice, factor: int) -> slice:
    return slice(factor * part.start, factor * part.stop)
