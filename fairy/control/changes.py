"""How much of each frame an edit may change: mask, region, part of the clip and fades in one.

A frame's weight is a number or an array (H,W) in [0,1]: 0 is the source, 1 the edit. `composite`
puts both together. Tests: tests/control/test_changes.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fairy.control.masks import Mask, Masks, shaped
from fairy.control.schedule import Stretch
from fairy.control.times import frame_of, frames_in
from fairy.errors import SettingsError
from fairy.media.colours import Image
from fairy.media.info import VideoInfo
from fairy.settings import EditConfig

Weight = float | Mask
"""0 is the source, 1 the edit; one number for the whole frame, or (H,W)."""

# Share of the frame up to which only the region and its surroundings are computed
CROPPED_SHARE = 0.5
# What the model sees around a region, as a share of the region's longer side
SURROUNDINGS = 0.25


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def padded(self, pixels: int, size: tuple[int, int]) -> Box:
        """Return the box with `pixels` more on each side, within a frame of (height, width)."""
        left, top = max(0, self.x - pixels), max(0, self.y - pixels)
        right = min(size[1], self.x + self.width + pixels)
        bottom = min(size[0], self.y + self.height + pixels)
        return Box(left, top, right - left, bottom - top)


class Changes:
    """What an edit of a clip may change.

    Args:
        config: the settings.
        clip: the clip.
        stretches: those of a schedule; where they have no text, nothing changes.
        blended: the share of a stretch in frames in which it is blended in.
        mask: the mask's file, if the settings describe it in words.

    Attributes:
        crop: the part of the frame that the model sees; all of it when None.
        changed: whether each frame is changed at all.

    Raises:
        FairyError: mask, region or times do not fit the clip, or nothing would change.
    """

    def __init__(
        self,
        config: EditConfig,
        clip: VideoInfo,
        stretches: Sequence[Stretch] = (),
        blended: Mapping[int, float] | None = None,
        mask: Path | None = None,
    ) -> None:
        self._config, self._size = config, (clip.height, clip.width)
        self._region = None if config.region is None else _region(config.region, self._size)
        self._masks: Masks | None = None
        if config.mask is not None:
            self._masks = Masks(mask or Path(config.mask), clip, invert=config.mask_invert)
        self._amounts = _scheduled(_amounts(config, clip), stretches, blended or {})
        self.crop = crop_of(config, self._size)
        self.changed = tuple(self._changed())
        if not any(self.changed) and config.mask is None:
            raise SettingsError("nothing would change: the schedule has no text where it is edited")
        if not any(self.changed):
            raise SettingsError(
                f"mask {config.mask}: black in every frame that is edited, so nothing would "
                "change: white is what may change, and --mask-invert swaps the two"
            )

    @property
    def everything(self) -> bool:
        """Whether the whole of every frame may change."""
        return not self.in_parts and all(amount == 1 for amount in self._amounts)

    @property
    def in_parts(self) -> bool:
        """Whether parts of frames must stay as they are."""
        return self._masks is not None or self._region is not None

    @property
    def extent(self) -> tuple[int, int]:
        """The first frame that is changed, and the frame after the last."""
        return self.changed.index(True), len(self.changed) - self.changed[::-1].index(True)

    def weights(self, indices: Sequence[int]) -> Iterator[Weight]:
        """Yield the weights of frames `indices`, which grow."""
        if not self.in_parts:
            yield from (self._amounts[index] for index in indices)
            return
        for index, mask in zip(indices, self._shaped(indices), strict=True):
            # One number says at once that there is nothing to do
            yield self._amounts[index] * mask if mask.any() and self._amounts[index] else 0.0

    def _shaped(self, indices: Sequence[int]) -> Iterator[Mask]:
        """Yield the masks of frames, shaped; a mask that repeats is shaped once."""
        config = self._config
        before: Mask | None = None
        for mask in self._plain(indices):
            if mask is not before:
                before = mask
                result = shaped(mask, grow=config.mask_grow, feather=config.mask_feather)
            yield result

    def _plain(self, indices: Sequence[int]) -> Iterator[Mask]:
        """Yield the masks of frames within the region, unshaped."""
        inside = np.ones(self._size, np.float32)
        if self._region is not None:
            inside = np.zeros(self._size, np.float32)
            inside[self._region.slices] = 1
        if self._masks is None:
            yield from (inside for _ in indices)
            return
        before: Mask | None = None
        for mask in self._masks.at(indices):
            if mask is not before:
                before, result = mask, mask if self._region is None else mask * inside
            yield result

    def _changed(self) -> Iterator[bool]:
        if self._masks is None:
            yield from (amount > 0 for amount in self._amounts)
            return
        indices = range(len(self._amounts))
        shapes = self._shaped(indices) if self._config.mask_grow < 0 else self._plain(indices)
        before: Mask | None = None
        for amount, mask in zip(self._amounts, shapes, strict=True):
            if mask is not before:
                before, any_left = mask, bool(mask.any())
            yield amount > 0 and any_left


def crop_of(config: EditConfig, size: tuple[int, int]) -> Box | None:
    """Return the part of frames of (height, width) that the model sees; None for all of it.

    It is a region that is much smaller than the frame, with its surroundings.
    """
    if config.region is None or not config.keep_size:
        return None
    region = _region(config.region, size)
    reach = max(0, config.mask_grow) + config.mask_feather
    around = round(SURROUNDINGS * max(region.width, region.height))
    box = region.padded(max(reach, around), size)
    return box if box.width * box.height <= CROPPED_SHARE * size[0] * size[1] else None


def is_nothing(weight: Weight) -> bool:
    """Return whether a frame of this weight stays as it is."""
    return isinstance(weight, float) and weight == 0


def resized(weight: Weight, size: tuple[int, int]) -> Weight:
    """Return a weight for frames of (height, width); 0 stays 0 where no part of it is seen."""
    if isinstance(weight, float) or weight.shape == size:
        return weight
    smaller = cv2.resize(weight, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, dtype=np.float32)


def composite(source: Image, edited: Image, weight: Weight) -> Image:
    """Return uint8 (H,W,3): `source` where `weight` is 0, `edited` where it is 1, both exact."""
    if isinstance(weight, float):
        if weight in (0, 1):
            return edited if weight else source
    else:
        weight = weight[..., None]
    # Whole levels below 2**24 are exact in float32
    mixed = source + weight * (edited.astype(np.float32) - source)
    return np.asarray(mixed.round(), dtype=np.uint8)


def _region(region: tuple[int, int, int, int], size: tuple[int, int]) -> Box:
    box = Box(*region)
    if box.x + box.width > size[1] or box.y + box.height > size[0]:
        raise SettingsError(
            f"region {','.join(map(str, region))} leaves the frame, which is {size[1]}x{size[0]}: "
            "give left, top, width and height within it"
        )
    return box


def _scheduled(
    amounts: Sequence[float], stretches: Sequence[Stretch], blended: Mapping[int, float]
) -> tuple[float, ...]:
    """Return the amounts: 0 where a schedule has no text, fading in blends with such a stretch."""
    left = list(amounts)
    had_text = True
    for stretch in stretches:
        for n in range(stretch.first, stretch.end):
            share = blended.get(n, 1.0)
            left[n] *= share * bool(stretch.text) + (1 - share) * had_text
        had_text = bool(stretch.text)
    return tuple(left)


def _amounts(config: EditConfig, clip: VideoInfo) -> tuple[float, ...]:
    """Return how far each frame is edited: 0 outside --from and --to, fading where asked to."""
    total = clip.num_frames
    first = 0 if config.edit_from is None else frame_of(config.edit_from, clip, "--from")
    end = total if config.edit_to is None else frame_of(config.edit_to, clip, "--to")
    if first >= end:
        raise SettingsError(
            f"--from {config.edit_from or 0} is frame {first} and --to {config.edit_to or total} "
            f"frame {end}: the first must be before the last, which is not included"
        )
    amounts = [float(first <= index < end) for index in range(total)]
    num_faded = 0 if config.fade is None else frames_in(config.fade, clip, "--fade")
    fades = (config.edit_from is not None) + (config.edit_to is not None)
    if fades * num_faded > end - first:
        raise SettingsError(
            f"--fade {config.fade} is {num_faded} frames at {fades} ends, and {end - first} are "
            "edited: use a shorter one"
        )
    for step in range(num_faded):
        part = (step + 1) / (num_faded + 1)
        if config.edit_from is not None:
            amounts[first + step] = part
        if config.edit_to is not None:
            amounts[end - 1 - step] = part
    return tuple(amounts)
