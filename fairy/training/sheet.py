"""Validation sheets: columns of image tensors -> one PNG.

Images (B,3,H,W) in [-1,1]. Tests: tests/training/test_sheet.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

CAPTION_HEIGHT = 14


def write_sheet(path: Path, columns: Sequence[Tensor], labels: Sequence[str]) -> None:
    """Write one row per image, its columns side by side, its label above.

    Args:
        path: a PNG; its folder is made if missing.
        columns: tensors (B,3,H,W) of one shape, such as source, target and output.
        labels: B captions.
    """
    rows = [np.concatenate(row, axis=1) for row in zip(*map(_to_arrays, columns), strict=True)]
    captioned = [_caption(row, label) for row, label in zip(rows, labels, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(captioned, axis=0)).save(path)


def _to_arrays(images: Tensor) -> np.ndarray:
    """Turn (B,3,H,W) in [-1,1] into uint8 (B,H,W,3)."""
    levels = ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def _caption(row: np.ndarray, label: str) -> np.ndarray:
    strip = Image.new("RGB", (row.shape[1], CAPTION_HEIGHT), "white")
    ImageDraw.Draw(strip).text((2, 1), label, fill="black")
    return np.concatenate([np.asarray(strip), row], axis=0)
