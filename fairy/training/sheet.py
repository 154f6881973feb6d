"""Validation sheets: columns of image tensors -> one PNG.

Images (B,3,H,W) in [-1,1]. Tests: tests/training/test_sheet.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from fairy.media.frames import to_images

CAPTION_HEIGHT = 14


def write_sheet(path: Path, columns: Sequence[Tensor], labels: Sequence[str]) -> None:
    """Write one row per image, its columns side by side, its label above.

    Args:
        path: a PNG; its folder is made if missing.
        columns: tensors (B,3,H,W) of one shape, such as source, target and output.
        labels: B captions.
    """
    rows = [np.concatenate(row, axis=1) for row in zip(*map(to_images, columns), strict=True)]
    captioned = [_caption(row, label) for row, label in zip(rows, labels, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(captioned, axis=0)).save(path)


def _caption(row: np.ndarray, label: str) -> np.ndarray:
    strip = Image.new("RGB", (row.shape[1], CAPTION_HEIGHT), "white")
    ImageDraw.Draw(strip).text((2, 1), label, fill="black")
    return np.concatenate([np.asarray(strip), row], axis=0)
