"""An edited clip and its source, aligned to the same frames and the same size.

Other tools cut clips short, drop frames, shrink and crop. If the files determine how to align them,
it is done, with a note. Otherwise a one-line error names the option to use.
Frames (T,3,H,W) in [0,1]. Tests: tests/evaluation/test_pair.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fairy.errors import SettingsError
from fairy.media import VideoInfo, probe, read_frames
from fairy.media.colours import Image
from fairy.media.frames import resize
from fairy.metrics.flow import estimate_flow
from fairy.metrics.free_choice import Nearest

PairBy = Literal["auto", "number", "time"]
Fit = Literal["refuse", "crop", "stretch"]
DEFAULT_SIZE = 512
# Relative tolerances: containers round frame rates and durations
SAME_RATE, SAME_DURATION, SAME_ASPECT = 0.02, 0.05, 0.03


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An edit to judge, its source, and what else is known.

    Attributes:
        source: (T,3,H,W) in [0,1].
        edited: (T,3,H,W) in [0,1], frame t made from the source's frame t.
        target: (T,3,H,W) in [0,1], the exact result; None if it is not known.
        flow: (T-1,2,H,W), motion of the source from frame t to t + 1, in px as (x, y).
        visible: (T-1,H,W) bool, where a point of frame t is visible in t + 1.
        flow_method: how the motion was found: "exact" for rendered clips.
        fps: frames per second.
        captions: of the source and of the intended result, for measures that read text.
        look_indices: frames whose look the others should keep: the same for every method.
        nearest: for an edit with a free choice, as in `fairy.metrics.free_choice`.
    """

    source: Tensor
    edited: Tensor
    flow: Tensor
    visible: Tensor
    flow_method: str
    target: Tensor | None = None
    fps: Fraction = Fraction(25)
    captions: tuple[str, str] | None = None
    look_indices: tuple[int, ...] = (0,)
    nearest: Nearest | None = None


@dataclass(frozen=True)
class Alignment:
    """Which frames form pairs, and how both are brought to one size.

    Attributes:
        edited_indices: P frames of the edit.
        other_indices: the P matching frames of the other clip.
        size: (height, width) of both afterwards.
        crop: the other clip's part that the edit shows: (top, left, height, width).
        notes: what was done, for the report.
    """

    edited_indices: list[int]
    other_indices: list[int]
    size: tuple[int, int]
    crop: tuple[int, int, int, int]
    notes: tuple[str, ...]


def align(
    edited: VideoInfo,
    other: VideoInfo,
    *,
    pair_by: PairBy = "auto",
    fit: Fit = "refuse",
    size: int = DEFAULT_SIZE,
) -> Alignment:
    """Decide how the source, or the target, is aligned with the edit.

    Args:
        edited: the edit.
        other: its source or target.
        pair_by: pair frames with the same number or at the same time; "auto" decides by the files.
        fit: what the editor did if the shapes differ: cropped to the middle, or squeezed.
        size: larger clips are compared at this longer side.

    Raises:
        SettingsError: the files do not determine which frames, or which parts, match.
    """
    frames = _pair_frames(edited, other, pair_by)
    crop, crop_notes = _crop(edited, other, fit)
    common, size_notes = _common_size(edited, crop[2:], other, size)
    return Alignment(*frames[:2], common, crop, (*frames[2], *crop_notes, *size_notes))


def load_pair(
    edited: Path,
    source: Path,
    target: Path | None = None,
    *,
    captions: tuple[str, str] | None = None,
    pair_by: PairBy = "auto",
    fit: Fit = "refuse",
    size: int = DEFAULT_SIZE,
    flow_method: str = "dis",
) -> tuple[Pair, tuple[str, ...]]:
    """Read an edit, its source and, if there is one, its exact target: (pair, notes).

    Args:
        edited: a clip made by any tool, or a folder of images.
        source: the clip it was made from.
        target: the exact result.
        captions: of the source and of the intended result.
        pair_by: as for `align`.
        fit: as for `align`.
        size: as for `align`.
        flow_method: how the source's motion is estimated (`fairy.metrics.flow`).

    Raises:
        SettingsError: the files do not determine which frames match.
        MediaError: one of them cannot be read.
    """
    others = [other for other in (source, target) if other is not None]
    if any(other.resolve() == edited.resolve() for other in others):
        raise SettingsError(f"{edited}: the edit and the source are the same file")
    first, *infos = map(probe, (edited, *others))
    hows = [align(first, info, pair_by=pair_by, fit=fit, size=size) for info in infos]
    frames = _read_aligned(first, infos, hows)
    flow, visible = estimate_flow(frames[1], flow_method)
    pair = Pair(
        edited=frames[0], source=frames[1], target=frames[2] if target else None, flow=flow,
        visible=visible, flow_method=flow_method, captions=captions,
        fps=min(first.fps, infos[0].fps),
    )  # fmt: skip
    return pair, tuple(dict.fromkeys(note for how in hows for note in how.notes))


def _read_aligned(
    edited: VideoInfo, others: Sequence[VideoInfo], hows: Sequence[Alignment]
) -> list[Tensor]:
    """Read the frames that the edit and the other clips all have, (P,3,H,W) each."""
    matches = [dict(zip(how.edited_indices, how.other_indices, strict=True)) for how in hows]
    kept = [i for i in matches[0] if all(i in match for match in matches)]
    if len(kept) < 2:
        raise SettingsError(
            f"{edited.path}: {len(kept)} frame to compare; steadiness needs at least 2"
        )
    size = min((how.size for how in hows), key=math.prod)
    read = [_read(edited.path, kept, (0, 0, edited.height, edited.width), size)]
    for how, match, info in zip(hows, matches, others, strict=True):
        read.append(_read(info.path, [match[i] for i in kept], how.crop, size))
    return read


def describe(info: VideoInfo) -> str:
    """Describe a clip: "a.mp4 (16 frames, 8 fps, 512x288)"."""
    return (
        f"{info.path.name} ({info.num_frames} frames, {float(info.fps):.4g} fps, "
        f"{info.width}x{info.height})"
    )


def _pair_frames(
    edited: VideoInfo, other: VideoInfo, pair_by: PairBy
) -> tuple[list[int], list[int], tuple[str, ...]]:
    ratio = float(edited.fps / other.fps)
    same_rate = abs(math.log(ratio)) < SAME_RATE
    if edited.num_frames == other.num_frames and pair_by != "time":
        numbers = list(range(edited.num_frames))
        note = f"{describe(edited)} and {describe(other)}: frames are paired by number"
        return numbers, numbers, () if same_rate else (note,)
    if pair_by == "number" or (pair_by == "auto" and same_rate):
        count = min(edited.num_frames, other.num_frames)
        longer = max(edited, other, key=lambda info: info.num_frames)
        left_out = longer.num_frames - count
        note = f"{longer.path.name}: its last {left_out} of {longer.num_frames} frames are left out"
        return list(range(count)), list(range(count)), (note,)
    if pair_by == "auto" and not _same_duration(edited, other):
        raise SettingsError(
            f"{describe(edited)} and {describe(other)} differ in number of frames, rate and "
            "duration, so it is unknown which frames match: cut the clips to the same length, or "
            "use --pair-by number or --pair-by time"
        )
    return _pair_by_time(edited, other, ratio)


def _pair_by_time(
    edited: VideoInfo, other: VideoInfo, ratio: float
) -> tuple[list[int], list[int], tuple[str, ...]]:
    """Pair each frame of the slower clip with the other's frame nearest in time."""
    note = f"{describe(edited)} and {describe(other)}: frames are paired by time"
    if ratio <= 1:
        pairs = [(i, round(i / ratio)) for i in range(edited.num_frames)]
    else:
        pairs = [(round(i * ratio), i) for i in range(other.num_frames)]
    kept = [(e, o) for e, o in pairs if e < edited.num_frames and o < other.num_frames]
    return [e for e, _ in kept], [o for _, o in kept], (note,)


def _same_duration(edited: VideoInfo, other: VideoInfo) -> bool:
    difference_s = abs(edited.duration_s - other.duration_s)
    frame_s = 1 / float(min(edited.fps, other.fps))
    return difference_s <= max(
        1.5 * frame_s, SAME_DURATION * max(edited.duration_s, other.duration_s)
    )


def _crop(
    edited: VideoInfo, other: VideoInfo, fit: Fit
) -> tuple[tuple[int, int, int, int], tuple[str, ...]]:
    """Return the part (top, left, height, width) of the other clip that the edit shows."""
    height, width = other.height, other.width
    ratio = (edited.width / edited.height) / (width / height)
    if abs(math.log(ratio)) < SAME_ASPECT:
        return (0, 0, height, width), ()
    if fit == "refuse":
        raise SettingsError(
            f"{describe(edited)} and {describe(other)} differ in shape: if the editor cropped "
            "to the middle use --fit crop, if it squeezed the picture use --fit stretch"
        )
    if fit == "stretch":
        return (0, 0, height, width), (f"{other.path.name} is stretched to the edit's shape",)
    new_height = min(height, round(height / ratio))
    new_width = min(width, round(width * ratio))
    top, left = (height - new_height) // 2, (width - new_width) // 2
    note = f"{other.path.name}: only its middle, {new_width}x{new_height} pixels, is compared"
    return (top, left, new_height, new_width), (note,)


def _common_size(
    edited: VideoInfo, part: tuple[int, int], other: VideoInfo, size: int
) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Return the smaller of both sizes, at most `size` on the longer side, and notes on scaling."""
    common = min((edited.height, edited.width), part, key=math.prod)
    if max(common) > size:
        scale = size / max(common)
        common = (max(1, round(common[0] * scale)), max(1, round(common[1] * scale)))
    sizes = ((edited.path.name, (edited.height, edited.width)), (other.path.name, part))
    return common, tuple(
        f"{name} is scaled from {width}x{height} to {common[1]}x{common[0]} for the comparison"
        for name, (height, width) in sizes
        if (height, width) != common
    )


def _read(
    path: Path, indices: Sequence[int], part: tuple[int, int, int, int], size: tuple[int, int]
) -> Tensor:
    """Read frames (P,3,H,W) in [0,1], cropped and scaled."""
    top, left, height, width = part
    wanted, found = set(indices), dict[int, Image]()
    for index, frame in enumerate(read_frames(path)):
        if index in wanted:
            image = frame.image[top : top + height, left : left + width]
            found[index] = resize(np.ascontiguousarray(image), size)
    stacked = np.stack([found[index] for index in indices])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255
