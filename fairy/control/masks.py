"""Masks of a clip: a picture, a folder or a video, matched to the clip's frames and shaped.

White is where the edit may change the frame. Shapes: masks float32 (H,W) in [0,1] at the clip's
size. Tests: tests/control/test_masks.py.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fairy.errors import SettingsError
from fairy.media.colours import Image
from fairy.media.folder import clip_images
from fairy.media.info import VideoInfo
from fairy.media.read import frame_times, frames_at, probe

Mask = NDArray[np.float32]

# Lossy files hold no pure black and white, and video levels end before them
BLACK, WHITE = 16, 239
# How far the shapes of mask and clip may differ: rounded sizes, not other pictures
MAX_ASPECT_ERROR = 0.02


class Masks:
    """The masks of a clip's frames, before they are shaped.

    Args:
        path: a picture for all frames, a folder with one for each, or a video.
        clip: whose frames they are for.
        invert: swap black and white.

    Raises:
        FairyError: they cannot be read, or do not fit the clip.
    """

    def __init__(self, path: Path, clip: VideoInfo, *, invert: bool = False) -> None:
        if not path.exists():
            raise SettingsError(f"mask {path}: no such file or folder")
        info = probe(path)
        _check_shape(path, info, clip)
        self._path, self._size, self._invert = path, (clip.height, clip.width), invert
        self._numbers = _matched(path, info, clip)

    def at(self, indices: Sequence[int]) -> Iterator[Mask]:
        """Yield the masks of frames `indices`, which grow."""
        numbers = [self._numbers[index] for index in indices]
        frames = frames_at(self._path, numbers)
        for _, same in groupby(numbers):
            mask = self._mask(next(frames).image)
            yield from (mask for _ in same)

    def _mask(self, image: Image) -> Mask:
        levels = image.max(axis=-1).astype(np.float32)
        mask = ((levels - BLACK) / (WHITE - BLACK)).clip(0, 1)
        height, width = self._size
        if mask.shape != self._size:
            smaller = mask.shape[0] > height
            way = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            mask = np.asarray(cv2.resize(mask, (width, height), interpolation=way), np.float32)
        return np.asarray(1 - mask if self._invert else mask, dtype=np.float32)


def is_words(mask: str) -> bool:
    """Return whether a mask is described in words and is not a file's or folder's name.

    Words hold no `/` and no file's suffix, and there is no such folder.
    """
    is_name = "/" in mask or os.sep in mask or bool(Path(mask).suffix)
    return not is_name and not Path(mask).exists()


def shaped(mask: Mask, *, grow: int = 0, feather: int = 0) -> Mask:
    """Return a mask (H,W), grown or shrunk, with a linear ramp around it.

    Nothing further than `grow + feather` pixels from what is at least half white is added.

    Args:
        mask: in [0,1].
        grow: pixels; negative numbers shrink it.
        feather: pixels over which it falls to 0.
    """
    if grow > 0:
        mask = np.maximum(mask, _distance(mask) <= grow)
    elif grow < 0:
        inside = cv2.distanceTransform(_solid(mask), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        mask = np.where(inside > -grow, mask, np.float32(0))
    if feather:
        distance = _distance(mask)
        ramp = np.where(distance <= feather, 1 - distance / (feather + 1), 0)
        mask = np.maximum(mask, ramp)
    return np.asarray(mask, dtype=np.float32)


def _solid(mask: Mask) -> NDArray[np.uint8]:
    return (mask >= 0.5).astype(np.uint8)


def _distance(mask: Mask) -> Mask:
    """Return each pixel's distance to the nearest one that is at least half white."""
    solid = _solid(mask)
    if not solid.any():
        return np.full(mask.shape, np.inf, np.float32)
    distance = cv2.distanceTransform(1 - solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, dtype=np.float32)


def _check_shape(path: Path, mask: VideoInfo, clip: VideoInfo) -> None:
    aspect = Fraction(mask.width, mask.height)
    shown = Fraction(clip.width, clip.height)
    if all(
        abs(aspect / known - 1) > MAX_ASPECT_ERROR
        for known in (shown, shown * clip.sample_aspect_ratio)
    ):
        raise SettingsError(
            f"mask {path}: {mask.width}x{mask.height} is not of the clip's shape, "
            f"{clip.width}x{clip.height}: draw it on a frame of the clip"
        )


def _matched(path: Path, mask: VideoInfo, clip: VideoInfo) -> tuple[int, ...]:
    """Return the number of the mask for each frame of the clip.

    One picture is for all frames, as many masks as frames are one for each, and a video of the
    clip's length is matched by time.
    """
    if mask.num_frames == 1:
        return (0,) * clip.num_frames
    if mask.num_frames == clip.num_frames:
        return tuple(range(clip.num_frames))
    folder = clip_images(path) is not None
    difference = abs(mask.duration_s - clip.duration_s)
    steps = (mask.duration_s / mask.num_frames, float(clip.longest_step_s), 1 / float(clip.fps))
    if folder or difference > max(steps) + 1e-3:
        length = "" if folder else f" ({mask.duration_s:.3g} s)"
        raise SettingsError(
            f"mask {path}: {mask.num_frames} masks{length} for {clip.num_frames} frames "
            f"({clip.duration_s:.3g} s): give one picture, {clip.num_frames} pictures, or a video "
            "as long as the clip"
        )
    return _matched_by_time(frame_times(path), frame_times(clip.path, clip.stream_index))


def _matched_by_time(masks: Sequence[Fraction], frames: Sequence[Fraction]) -> tuple[int, ...]:
    """Return the mask that is shown when each frame begins; both count from their first time."""
    # Files round their times: what is earlier by less than this is at the same time
    slack = (masks[-1] - masks[0]) / (len(masks) - 1) / 4
    starts = [time - masks[0] for time in masks]
    return tuple(max(0, bisect_right(starts, time - frames[0] + slack) - 1) for time in frames)
