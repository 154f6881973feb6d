"""Enlarge an edited frame to its source's size, taking fine detail from the source.

source (H,W,3) + edited (h,w,3) -> (H,W,3), uint8. Affine colour maps (source -> edited) are fitted
to the *small* frames: one for the whole frame, then one around every pixel for the remaining
difference. The maps, not the picture, are enlarged and applied to the full-size source. This
restores the source's hair and bricks in the edit's colours. An edit that is itself an affine colour
map, such as no change at all, is reproduced exactly. What the maps do not explain, such as outlines
that the edit drew, is enlarged as a picture and added. Small differences, mostly noise from a small
model, are weighted less than large ones.
Sources: He and Sun, "Fast Guided Filter", arXiv 1505.00996; Chen et al., "Bilateral Guided
Upsampling", SIGGRAPH Asia 2016. Tests: tests/media/test_enlarge.py.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fairy.errors import SettingsError
from fairy.media.colours import Image
from fairy.media.frames import resize
from fairy.settings import ENLARGERS

# Radius of the window that a map is fitted in, in pixels of the small frame.
RADIUS_PX = 2
# Colour variance, for values in [0,1], below which a window is too flat to determine its map.
FLAT_VARIANCE = 4e-4
# Blur of both sides before the fit around a pixel, in pixels of the small frame. Small models lose
# the finest detail of their own size; maps fitted to that would take it out of the source, too.
SOFTENED_PX = 0.7
# Differences below this, for values in [0,1], are mostly noise.
NOISE = 0.07

_Floats = NDArray[np.float32]


def enlarge(source: Image, edited: Image, size: tuple[int, int], *, method: str) -> Image:
    """Return `edited` uint8 (h,w,3) at `size`, (height, width).

    Args:
        source: the frame that was edited, at that size; only "guided" uses it.
        edited: the edited frame; if it is not smaller, it is resized without the source.
        size: size of the result.
        method: one of `fairy.settings.ENLARGERS`.

    Raises:
        SettingsError: the method is unknown.
        ValueError: the method is "guided" and the source has another size.
    """
    if method not in ENLARGERS:
        raise SettingsError(f"enlarge {method!r} is unknown: use {', '.join(ENLARGERS)}")
    height, width = size
    is_smaller = edited.shape[0] <= height and edited.shape[1] <= width
    if edited.shape[:2] == size or not is_smaller or method in ("bicubic", "none"):
        return resize(edited, size)
    if method == "lanczos":
        larger = cv2.resize(edited, (width, height), interpolation=cv2.INTER_LANCZOS4)
        return np.asarray(larger, dtype=np.uint8)
    if source.shape[:2] != size:
        raise ValueError(f"source is {source.shape[:2]} and size {size}: guided needs them alike")
    return _guided(source, edited)


def _guided(source: Image, edited: Image) -> Image:
    small = np.asarray(
        cv2.resize(source, edited.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8
    )
    guide, target, full = _unit(small), _unit(edited), _unit(source)
    whole = _fit_whole(guide, target)
    rest = target - _with_one(guide) @ whole
    slopes, offsets = _fit_windows(_softened(guide), _softened(rest))
    rest -= _apply(slopes, offsets, guide)
    rest *= rest * rest / (rest * rest + NOISE * NOISE)
    result = _with_one(full) @ whole
    result += _apply([_larger(one, full) for one in slopes], _larger(offsets, full), full)
    result += _larger(rest, full, cv2.INTER_CUBIC)
    if (edited == edited[..., :1]).all():
        # Black and white stays so: rounding may differ by a level between the colours
        result[...] = result[..., :1]
    return np.asarray((result * 255).round().clip(0, 255), dtype=np.uint8)


def _unit(image: Image) -> _Floats:
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _larger(values: _Floats, like: _Floats, way: int = cv2.INTER_LINEAR) -> _Floats:
    """Resize values (h,w,3) to the height and width of `like`."""
    return np.asarray(cv2.resize(values, like.shape[1::-1], interpolation=way), dtype=np.float32)


def _softened(values: _Floats) -> _Floats:
    blurred = cv2.GaussianBlur(values, (3, 3), SOFTENED_PX, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, dtype=np.float32)


def _mean(values: _Floats) -> _Floats:
    """Return the mean over the window around each pixel of values (h,w,C)."""
    side = 2 * RADIUS_PX + 1
    blurred = cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, dtype=np.float32).reshape(values.shape)


def _with_one(image: _Floats) -> _Floats:
    """Return colours (H,W,3) with a fourth channel of ones."""
    return np.concatenate([image, np.ones_like(image[..., :1])], axis=-1)


def _fit_whole(guide: _Floats, target: _Floats) -> _Floats:
    """Return the least-squares affine map (4,3) from guide (h,w,3) to target (h,w,3)."""
    terms = _with_one(guide).reshape(-1, 4).astype(np.float64)
    gram = terms.T @ terms + 1e-6 * len(terms) * np.diag([1.0, 1.0, 1.0, 0.0])
    # If the guide has no variation, keep its colours: the ridge term pulls towards no change.
    change = terms.T @ (target - guide).reshape(-1, 3).astype(np.float64)
    return (np.linalg.solve(gram, change) + np.eye(4, 3)).astype(np.float32)


def _fit_windows(guide: _Floats, target: _Floats) -> tuple[list[_Floats], _Floats]:
    """Fit target = slopes * guide + offsets by least squares in the window around each pixel.

    Args:
        guide: (h,w,3) in [0,1].
        target: (h,w,3), differences in [-1,1].

    Returns:
        The slopes (h,w,3) of each target colour, and the offsets (h,w,3). The values at a pixel
        are means over all windows that contain it.
    """
    mean_guide, mean_target = _mean(guide), _mean(target)
    inverse = _inverse_covariance(guide, mean_guide)
    slopes: list[_Floats] = []
    offsets = mean_target.copy()
    for colour in range(3):
        crossed = _mean(guide * target[..., colour : colour + 1])
        crossed -= mean_guide * mean_target[..., colour : colour + 1]
        slope = _apply(inverse, np.float32(0), crossed)
        offsets[..., colour] -= (slope * mean_guide).sum(-1)
        slopes.append(_mean(slope))
    return slopes, _mean(offsets)


def _inverse_covariance(guide: _Floats, mean: _Floats) -> list[_Floats]:
    """Return the rows (h,w,3) of the inverse of each window's covariance plus `FLAT_VARIANCE`.

    Uses the adjugate: `numpy.linalg.inv` takes several times as long for this many small matrices.
    """
    rows = [_mean(guide * guide[..., c : c + 1]) - mean * mean[..., c : c + 1] for c in range(3)]
    for colour, row in enumerate(rows):
        row[..., colour] += FLAT_VARIANCE
    adjugate = [np.cross(rows[1], rows[2]), np.cross(rows[2], rows[0]), np.cross(rows[0], rows[1])]
    determinant = (rows[0] * adjugate[0]).sum(-1, keepdims=True)
    return [row / determinant for row in adjugate]


def _apply(slopes: list[_Floats], offsets: _Floats | np.float32, image: _Floats) -> _Floats:
    """Return offsets + slopes * image at each pixel: (H,W,3)."""
    return offsets + np.stack([np.einsum("hwc,hwc->hw", s, image) for s in slopes], axis=-1)
