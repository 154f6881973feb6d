"""Clips with known point tracks: exact for rendered clips, labelled by hand in TAP-Vid.

Points (T,P,2) in px as (x, y), pixel centres at whole numbers; visible (T,P) bool.
Tests: tests/analysis/test_point_tracks.py.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.errors import MediaError

# All that a pickle of arrays needs; other names could run code
NUMPY_NAMES = {"_reconstruct", "_frombuffer", "scalar", "ndarray", "dtype"}
NOT_TAPVID = "give a TAP-Vid file: video, points and occluded for each clip, as DeepMind packs them"


@dataclass(frozen=True)
class TrackedClip:
    """A clip and points whose tracks are known.

    Attributes:
        name: of the clip.
        frames: (T,3,H,W) in [0,1].
        points: (T,P,2) in px as (x, y).
        visible: (T,P) bool, whether the point is visible and its position known.
    """

    name: str
    frames: Tensor
    points: Tensor
    visible: Tensor

    def thinned(self, num_frames: int) -> TrackedClip:
        """Return the clip with at most `num_frames` of its frames, evenly spread."""
        if len(self.frames) <= num_frames:
            return self
        kept = torch.linspace(0, len(self.frames) - 1, num_frames).round().long()
        return TrackedClip(self.name, self.frames[kept], self.points[kept], self.visible[kept])


def follow_flow(flow: Tensor, visible: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Follow points from the first frame along flow, as long as they are visible.

    Between pixels flow is read bilinearly, which is exact where the four pixels around move
    together (rotation and zoom included); `visible` must be False elsewhere, as in rendered clips.

    Args:
        flow: (T-1,2,H,W) in px as (x, y).
        visible: (T-1,H,W) bool, where a point of frame t is visible in t + 1.
        start: (P,2) whole pixels in frame 0 as (x, y).

    Returns:
        points (T,P,2) and visible (T,P); a point that is lost stays lost.
    """
    points, seen = [start.to(flow)], [torch.ones(len(start), dtype=torch.bool)]
    for motion, is_visible in zip(flow, visible, strict=True):
        kept = read_at(is_visible[None].to(flow), points[-1])[:, 0] > 0.999
        seen.append(seen[-1] & kept)
        points.append(points[-1] + read_at(motion, points[-1]))
    return torch.stack(points), torch.stack(seen)


def read_at(image: Tensor, points: Tensor) -> Tensor:
    """Return image (C,H,W) read at points (P,2) in px as (x, y), bilinear: (P,C)."""
    size = torch.tensor([image.shape[2], image.shape[1]]).to(points)
    unit = (2 * points + 1) / size - 1
    read = F.grid_sample(image[None], unit[None, :, None], align_corners=False)
    return read[0, :, :, 0].T


def grid_points(height: int, width: int, step_px: int) -> Tensor:
    """Return whole pixels (P,2) as (x, y), `step_px` apart, half a step from the edges."""
    rows = torch.arange(step_px // 2, height, step_px)
    columns = torch.arange(step_px // 2, width, step_px)
    return torch.cartesian_prod(columns, rows)


def read_tapvid(path: str | Path) -> Iterator[TrackedClip]:
    """Yield the clips of a TAP-Vid pickle (Doersch et al., "TAP-Vid", 2022).

    A file is a dict of clips by name (DAVIS) or a list of them (Kinetics, RGB-stacking, shards);
    each has video uint8 (T,H,W,3) or T encoded images, points (P,T,2) as (x, y) in [0,1] of the
    picture's width and height, and occluded (P,T). Only arrays are unpickled, because a pickle
    could run code.

    Raises:
        MediaError: the file is missing or not a TAP-Vid file.
    """
    try:
        with open(path, "rb") as file:
            content = _ArraysOnly(file).load()
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); {NOT_TAPVID}") from error
    except (pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError) as error:
        raise MediaError(f"{path}: {error}; {NOT_TAPVID}") from error
    if not isinstance(content, dict | list):
        raise MediaError(f"{path}: contains a {type(content).__name__}; {NOT_TAPVID}")
    clips = content.items() if isinstance(content, dict) else enumerate(content)
    for name, entry in clips:
        if not isinstance(entry, dict) or not {"video", "points", "occluded"} <= entry.keys():
            raise MediaError(f"{path}: clip {name!r} lacks an entry; {NOT_TAPVID}")
        yield _tapvid_clip(str(name), entry)


def _tapvid_clip(name: str, entry: dict[str, Any]) -> TrackedClip:
    video = entry["video"]
    images = np.stack([_image(image) for image in video])
    height, width = images.shape[1:3]
    frames = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    # Shares of the picture; its left edge is half a pixel before the first pixel's centre
    points = torch.from_numpy(np.asarray(entry["points"], np.float32)).transpose(0, 1)
    visible = ~torch.from_numpy(np.asarray(entry["occluded"], bool)).T
    return TrackedClip(name, frames, points * torch.tensor([width, height]) - 0.5, visible)


def _image(image: Any) -> Any:
    """Return uint8 (H,W,3) RGB of an array or of an encoded image."""
    if isinstance(image, bytes):
        return cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(image, np.uint8)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles only arrays and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in NUMPY_NAMES:
            return super().find_class(module, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"contains {module}.{name}, which is not an array")
