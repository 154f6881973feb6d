"""Convert between images and model tensors; choose sizes that fit a model's grid.

Shapes: uint8 (F,H,W,3) RGB <-> float (F,3,H,W) in [-1,1]. Sizes are (height, width).
Tests: tests/media/test_frames.py.
"""

from __future__ import annotations

from typing import overload

import numpy as np
import torch
import torch.nn.functional as F

from fairy.media.colours import Image


def to_model(images: Image) -> torch.Tensor:
    """Convert uint8 (F,H,W,3) to float32 (F,3,H,W) in [-1,1]."""
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(f"images are {images.dtype} {images.shape}: give uint8 (F,H,W,3)")
    return _batch(images) / 127.5 - 1.0


def to_images(frames: torch.Tensor) -> Image:
    """Convert float (F,3,H,W) in [-1,1] to uint8 (F,H,W,3), rounding and clamping."""
    if frames.ndim != 4 or frames.shape[1] != 3:
        raise ValueError(f"frames are {tuple(frames.shape)}: give (F,3,H,W)")
    levels = (frames.detach().float() + 1.0) * 127.5
    images = levels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    return np.asarray(images.contiguous().cpu().numpy(), dtype=np.uint8)


def fit_size(height: int, width: int, *, size: int, multiple: int) -> tuple[int, int]:
    """Return the (height, width) whose longer side is `size`, both rounded to `multiple` pixels.

    The aspect ratio is kept up to that rounding; each side is at least one multiple.

    >>> fit_size(720, 1280, size=512, multiple=8)
    (288, 512)
    """
    if min(height, width, size, multiple) < 1:
        raise ValueError(
            f"{height}x{width}, size {size}, multiple {multiple}: all must be positive"
        )
    longer = max(height, width)
    new_height, new_width = (
        # Round halves up, so that the result does not depend on whether the quotient is even.
        max(1, (2 * side * size + longer * multiple) // (2 * longer * multiple)) * multiple
        for side in (height, width)
    )
    return new_height, new_width


@overload
def resize(frames: Image, size: tuple[int, int]) -> Image: ...
@overload
def resize(frames: torch.Tensor, size: tuple[int, int]) -> torch.Tensor: ...
def resize(frames: Image | torch.Tensor, size: tuple[int, int]) -> Image | torch.Tensor:
    """Scale frames to `size`, (height, width): bicubic, low-pass filtered when shrinking.

    Args:
        frames: uint8 (F,H,W,3) or (H,W,3), or float (F,3,H,W) in [-1,1]; the result has the same
            form.
        size: (height, width) of the result; frames of that size are returned unchanged.
    """
    if isinstance(frames, torch.Tensor):
        return frames if frames.shape[-2:] == size else _bicubic(frames, size).clamp(-1.0, 1.0)
    if frames.shape[-3:-1] == size:
        return frames
    batch = _batch(frames.reshape(-1, *frames.shape[-3:]))
    scaled = _bicubic(batch, size).round().clamp(0, 255).to(torch.uint8)
    images = scaled.permute(0, 2, 3, 1).contiguous().numpy()
    return np.asarray(images, dtype=np.uint8).reshape(*frames.shape[:-3], *size, 3)


def _batch(images: Image) -> torch.Tensor:
    """Convert uint8 (F,H,W,3) to float32 (F,3,H,W) in [0,255]."""
    # Torch warns about read-only arrays, such as PIL's, so copy those.
    images = np.require(images, requirements=["C", "W"])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def _bicubic(batch: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Scale (F,3,H,W); when shrinking, `antialias` applies a low-pass filter."""
    return F.interpolate(batch, size=size, mode="bicubic", antialias=True, align_corners=False)
