"""Contact sheets: columns of image tensors -> one PNG.

Images (B,3,H,W) in [-1,1]. Tests: tests/training/run/test_contact_sheet.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import Tensor

from fairy.media.frames import to_images

Columns = list[Tensor]
"""Columns of a sheet, each (B,3,H,W) in [-1,1]."""

CAPTION_HEIGHT = 14


def write_sheet(path: Path, columns: Sequence[Tensor], labels: Sequence[str]) -> None:
    """Write one row per image, with its columns side by side under its label.

    Args:
        path: the PNG to write; its folder is created if missing.
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


def save_examples(folder: Path, name: str, columns: Sequence[Tensor], labels: list[str]) -> None:
    """Write pictures as a sheet NAME.png and, losslessly with labels, as NAME.safetensors."""
    write_sheet(folder / f"{name}.png", [column.nan_to_num() for column in columns], labels)
    tensors = {f"column_{i}": column.cpu().contiguous() for i, column in enumerate(columns)}
    save_file(tensors, folder / f"{name}.safetensors", metadata={"labels": json.dumps(labels)})
