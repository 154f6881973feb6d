"""Decoded pictures of one clip as people see them: upright, RGB, SDR, of one size.

Shapes: a decoded frame -> uint8 (H,W,3). The clip's first frame decides for all: the size, which
way is up, and how bright light is compressed. Tests: tests/media/test_picture.py.
"""

from __future__ import annotations

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
)
from fairy.media.decoding.orientation import frame_orientation
from fairy.media.hdr import NAMES, ToneMap, is_hdr, transfer_of

# Mean loss in levels of 255. Filmed pictures lose 0.05 to 0.5, bars and text of pure colours 2.
MAX_CHROMA_LOSS = 1.0


class PictureReader:
    """Turns the frames of one clip into images.

    Attributes:
        orientation: what brings the clip's pictures upright.
        colours: with which the images are to be written.
        notes: what is changed on the way, in words.
    """

    def __init__(self, first: av.VideoFrame) -> None:
        self._first = first
        self._size = first.height, first.width
        self._tone_map = ToneMap.of(first) if is_hdr(first) else None
        self.orientation = frame_orientation(first)
        self.colours = _shown_colours(first)
        self.notes = tuple(_notes(first))

    @property
    def full_chroma(self) -> bool:
        """Whether the first picture has full chroma (4:4:4), or loses much by 4:2:0."""
        if self._first.format.name.startswith(("yuv444", "yuvj444")):
            return True
        return chroma_loss(self.image(self._first), self.colours) > MAX_CHROMA_LOSS

    def image(self, frame: av.VideoFrame) -> Image:
        """Return uint8 (H,W,3) of a frame; one of another size is scaled to the first's."""
        if self._tone_map is None:
            return self.orientation.apply(to_rgb(frame, *self._size))
        return self.orientation.apply(self._tone_map.apply(to_rgb16(frame, *self._size)))


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
    if is_transparent(frame):
        notes.append("transparent: shown on black")
    return notes
