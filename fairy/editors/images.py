"""Frames in the forms that Python callers use <-> frames as the model takes them.

uint8 (T,H,W,3), PIL images or float (T,3,H,W) in [-1,1] -> float (3,H,W) in [-1,1], one by one.
Tests: tests/editors/test_images.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from fairy.media.frames import resize, to_images, to_model

logger = logging.getLogger(__name__)

Frame = NDArray[np.uint8] | PIL.Image.Image | Tensor
"""uint8 (H,W,3), a PIL image, float (3,H,W) in [-1,1], or an image's latents (C,h,w)."""

OUTPUT_TYPES = ("np", "pt", "pil", "latent")


def to_tensor(frame: Frame) -> Tensor:
    """Return a frame as float (3,H,W) in [-1,1].

    Raises:
        ValueError: another shape or type.
    """
    if isinstance(frame, PIL.Image.Image):
        frame = np.asarray(frame.convert("RGB"))
    if isinstance(frame, Tensor):
        if frame.ndim == 3 and frame.shape[0] == 3 and frame.is_floating_point():
            return frame
    elif frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8:
        return to_model(frame[None])[0]
    raise ValueError(
        f"frame of shape {tuple(frame.shape)}, {frame.dtype}: pass uint8 (H,W,3), a PIL image or a "
        "float tensor (3,H,W) in [-1,1]"
    )


def read_at_size(frames: Iterable[Frame], size: tuple[int, int]) -> Iterator[Tensor]:
    """Return frames as float (3,H,W) in [-1,1] of size (height, width), one by one.

    Latents, which do not have 3 channels, pass unchanged.
    """
    for frame in frames:
        if isinstance(frame, Tensor) and frame.ndim == 3 and frame.shape[0] != 3:
            yield frame
            continue
        image = to_tensor(frame)
        yield image if image.shape[1:] == size else resize(image[None], size)[0]


def frame_size(frame: Frame) -> tuple[int, int]:
    """Return (height, width) of a frame."""
    if isinstance(frame, PIL.Image.Image):
        return frame.height, frame.width
    height, width = frame.shape[-2:] if isinstance(frame, Tensor) else frame.shape[:2]
    return height, width


def fit_to_grid(size: Sequence[int], grid: int) -> tuple[int, int]:
    """Return size (height, width), rounded to multiples of `grid` (logged)."""
    height, width = size
    rounded = (_whole_cells(height, grid), _whole_cells(width, grid))
    if rounded != (height, width):
        logger.info(
            "size %dx%d is edited as %dx%d: the model's grid is %d", height, width, *rounded, grid
        )
    return rounded


def _whole_cells(length: int, grid: int) -> int:
    return max(1, round(length / grid)) * grid


def to_output(results: Tensor, output_type: str) -> Any:
    """Return results in the form of `output_type`.

    Args:
        results: images (F,3,H,W) in [-1,1], or latents for "latent".
        output_type: "np": uint8 (F,H,W,3); "pt" and "latent": unchanged; "pil": a list.
    """
    if output_type in ("pt", "latent"):
        return results
    images = to_images(results)
    return images if output_type == "np" else [PIL.Image.fromarray(image) for image in images]


def join_outputs(batches: list[Any], output_type: str) -> Any:
    """Return the outputs of several batches as one output of the same form."""
    if output_type == "pil":
        return [image for batch in batches for image in batch]
    return np.concatenate(batches) if output_type == "np" else torch.cat(batches)
