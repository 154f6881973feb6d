"""Random crops from a folder of photographs that are kept in memory.

Images (B,3,H,W) in [0,1]. Tests: tests/synthetic/test_photos.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from fairy.errors import MediaError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class PhotoPool:
    """All photographs under a folder, shrunk to `max_side` and kept as uint8.

    Args:
        folder: searched recursively for JPEG, PNG and WebP files, in sorted order.
        max_side: longer side in pixels; 312 photographs at 512 take 180 MB.

    Raises:
        MediaError: the folder contains no photograph.
    """

    def __init__(self, folder: str | Path, max_side: int = 512) -> None:
        paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise MediaError(f"{folder}: no photographs found: name a folder of JPEG or PNG files")
        self.photos = [_load(path, max_side) for path in paths]

    def crops(self, batch_size: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Return random crops (B,3,H,W) in [0,1], at random zoom, half of them mirrored."""
        return torch.cat([self._crop(size, generator) for _ in range(batch_size)])

    def _crop(self, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        def uniform() -> float:
            return float(torch.rand((), generator=generator))

        photo = self.photos[int(torch.randint(len(self.photos), (), generator=generator))]
        # Between the largest crop that fits and the output size; never enlarged if avoidable.
        fit = min(photo.shape[1] / size[0], photo.shape[2] / size[1])
        zoom = min(fit, 1 + (max(fit, 1) - 1) * uniform())
        height, width = int(size[0] * zoom), int(size[1] * zoom)
        top = int(uniform() * (photo.shape[1] - height + 1))
        left = int(uniform() * (photo.shape[2] - width + 1))
        crop = photo[None, :, top : top + height, left : left + width].float() / 255
        crop = F.interpolate(crop, size, mode="bilinear", antialias=True).clamp(0, 1)
        return crop.flip(3) if uniform() < 0.5 else crop


def _load(path: Path, max_side: int) -> Tensor:
    """Read one photograph upright as uint8 (3,H,W), its longer side at most `max_side`."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(upright)).permute(2, 0, 1).contiguous()
