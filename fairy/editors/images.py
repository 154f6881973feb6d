"""Convert between the forms of frames that Python callers use and the model's tensors.

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

from fairy.media.enlarge import enlarge
from fairy.media.frames import resize, to_images, to_model
from fairy.media.python_frames import pictures

logger = logging.getLogger(__name__)

Frame = NDArray[np.uint8] | PIL.Image.Image | Tensor
"""uint8 (H,W,3), a PIL image, float (3,H,W) in [-1,1], or an image's latents (C,h,w)."""

Size = tuple[int, int]
"""(height, width)."""

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


def clip_frames(frames: Any) -> list[Frame]:
    """Return a Python caller's clip as frames for an editor.

    Args:
        frames: uint8 (T,H,W,3), PIL images, or floats as (T,H,W,3) or tensors (T,3,H,W) in [0,1];
            as in diffusers, floats of which one is below 0 are in [-1,1].

    Raises:
        ValueError: as `fairy.media.python_frames.pictures`.
    """
    shown = pictures(frames)
    floats = [one for one in shown if one.dtype != np.uint8]
    scale, offset = (1.0, 0.0) if any(one.min() < 0 for one in floats) else (2.0, -1.0)
    return [
        np.asarray(one, np.uint8)
        if one.dtype == np.uint8
        else torch.from_numpy(one).permute(2, 0, 1) * scale + offset
        for one in shown
    ]


def to_output(
    results: Tensor, output_type: str, sources: Sequence[Frame] = (), size: Size | None = None
) -> Any:
    """Return results in the form of `output_type`.

    Args:
        results: images (F,3,H,W) in [-1,1], or latents for "latent".
        output_type: "np": uint8 (F,H,W,3); "pt": float (F,3,H,W) in [0,1], as diffusers' "pt";
            "pil": a list; "latent": unchanged.
        sources: the frames that were edited, if `size` is given.
        size: (height, width) at which images are wanted, with the detail of `sources`; None for
            the model's.
    """
    if output_type == "latent":
        return results
    same = size is None or results.shape[-2:] == size
    if output_type == "pt" and same:
        return results / 2 + 0.5
    images = to_images(results)
    if size is not None and not same:
        images = np.stack(
            [
                enlarge(to_images(to_tensor(source)[None])[0], image, size, method="guided")
                for source, image in zip(sources, images, strict=True)
            ]
        )
    if output_type == "pt":
        return torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    return images if output_type == "np" else [PIL.Image.fromarray(image) for image in images]


def join_outputs(batches: list[Any], output_type: str) -> Any:
    """Return the outputs of several batches as one output of the same form."""
    if output_type == "pil":
        return [image for batch in batches for image in batch]
    return np.concatenate(batches) if output_type == "np" else torch.cat(batches)
