"""Convert a clip's decoded frames to upright RGB images in SDR, all of one size.

Shapes: a decoded frame -> uint8 (H,W,3). The clip's first frame sets size and orientation for all.
Tests: tests/media/decoding/test_cropping.py, tests/media/test_kept_or_said.py.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import av

from fairy.media.colours import (
    Colours,
    Image,
    chroma_loss,
    frame_colours,
    is_transparent,
    to_rgb,
    to_rgb16,
    unknown_matrix,
)
from fairy.media.decoding.cropping import Cropping
from fairy.media.decoding.orientation import frame_orientation, is_oblique
from fairy.media.decoding.side_data import lost_side_data
from fairy.media.hdr import NAMES, ToneMap, is_hdr, transfer_of

logger = logging.getLogger(__name__)

# Mean loss in levels of 255. Camera footage loses 0.05 to 0.5; bars and text in pure colours, 2.
MAX_CHROMA_LOSS = 1.0
WHOLE = Cropping()
TRANSPARENT = "transparent: shown on black"


class PictureReader:
    """Turns the frames of one clip into images.

    Args:
        first: the clip's first frame.
        cropping: the part of the frames that is shown.

    Attributes:
        orientation: the steps that bring the clip's pictures upright.
        colours: the colours to write the images with.
        notes: descriptions of what the conversion changes.
    """

    def __init__(self, first: av.VideoFrame, cropping: Cropping = WHOLE) -> None:
        self._first, self._cropping = first, cropping
        self._size = first.height, first.width
        self._tone_map: ToneMap | None = None
        self._num_shown, self._num_scaled, self._num_converted = 0, 0, 0
        self._other_size, self._other_format = self._size, first.format.name
        self._lost, self._said = set[str](), lost_side_data(first)
        self._changes = set[str]()
        self.orientation = frame_orientation(first)
        self.colours = _shown_colours(first)
        self.notes = (*_notes(first), *_not_kept(self._said))

    @property
    def size(self) -> tuple[int, int]:
        """The (height, width) of the images."""
        return self.orientation.size(*self._cropping.size(*self._size))

    @property
    def full_chroma(self) -> bool:
        """Whether the first picture is 4:4:4, or would lose a lot of colour detail in 4:2:0."""
        if self._first.format.name.startswith(("yuv444", "yuvj444")):
            return True
        return chroma_loss(self.image(self._first), self.colours) > MAX_CHROMA_LOSS

    def image(self, frame: av.VideoFrame) -> Image:
        """Return a frame as uint8 (H,W,3), scaled to the first frame's size if it differs."""
        self._compare(frame)
        if is_hdr(frame):
            if self._tone_map is None or self._tone_map.curve != transfer_of(frame):
                self._tone_map = ToneMap.of(frame)
            image = self._tone_map.apply(to_rgb16(frame, *self._size))
        else:
            image = to_rgb(frame, *self._size)
        return self.orientation.apply(self._cropping.apply(image))

    def _compare(self, frame: av.VideoFrame) -> None:
        """Record how a frame differs from the first."""
        self._num_shown += 1
        self._lost |= lost_side_data(frame)
        if (size := (frame.height, frame.width)) != self._size:
            self._num_scaled, self._other_size = self._num_scaled + 1, size
        if (name := frame.format.name) != self._first.format.name:
            self._num_converted, self._other_format = self._num_converted + 1, name
        self._changes |= set(_notes(frame))

    def log_changes(self, name: str) -> None:
        """Log where later pictures differed from the first: size, pixel format, lost captions."""
        if self._num_scaled:
            (height, width), (rows, columns) = self._size, self._other_size
            logger.warning(
                "%s: %d of %d pictures have another size, such as %dx%d; scaled to the first's, "
                "%dx%d",
                name, self._num_scaled, self._num_shown, columns, rows, width, height,
            )  # fmt: skip
        if self._num_converted:
            logger.warning(
                "%s: %d of %d pictures have another pixel format than the first's, %s: %s; "
                "converted",
                name, self._num_converted, self._num_shown, self._first.format.name,
                self._other_format,
            )  # fmt: skip
        later = sorted(self._changes - set(self.notes))
        for note in (*later, *_not_kept(self._lost - self._said)):
            logger.warning("%s: %s", name, note)


def _not_kept(lost: set[str]) -> list[str]:
    return [f"not kept: {', '.join(sorted(lost))}"] if lost else []


def _shown_colours(frame: av.VideoFrame) -> Colours:
    colours = frame_colours(frame)
    if not is_hdr(frame):
        return colours
    return replace(colours, matrix="bt709", primaries="bt709", transfer="bt709")


def _notes(frame: av.VideoFrame) -> list[str]:
    notes = []
    if is_hdr(frame):
        notes.append(f"HDR ({NAMES[transfer_of(frame)]}): toned down to SDR, BT.709")
    if frame.interlaced_frame:
        notes.append("interlaced: made into whole pictures (bwdif)")
    if (matrix := unknown_matrix(frame)) is not None:
        notes.append(f"the matrix {matrix} is not known: colours are read as by BT.601 or BT.709")
    if is_oblique(frame):
        notes.append("turned by no multiple of 90 degrees: shown at the nearest one")
    if is_transparent(frame):
        notes.append(TRANSPARENT)
    return notes
