"""Contact sheets of clips: a row per version, with a few of its frames as columns.

Frames (T,3,H,W) in [0,1]. Tests: tests/benchmarks/lib/test_sheets.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from fairy.media.contact_sheet import contact_sheet
from fairy.media.frames import to_images


def write_sheet(path: Path, videos: Mapping[str, Tensor], num_shown: int | None = None) -> None:
    """Write a PNG with a row per video.

    Args:
        path: the PNG; its folder is created.
        videos: by label, frames (T,3,H,W) in [0,1], all of the same length.
        num_shown: frames of each, evenly spread, including the first and last; all when None.
    """
    rows = [list(to_images(shown_frames(video, num_shown) * 2 - 1)) for video in videos.values()]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(contact_sheet(rows, list(videos))).save(path, optimize=True)


def shown_frames(video: Tensor, num_shown: int | None) -> Tensor:
    """Return `num_shown` frames of video (T,3,H,W), evenly spread; all when None."""
    if num_shown is None:
        return video
    return video[torch.linspace(0, len(video) - 1, num_shown).round().long()]
