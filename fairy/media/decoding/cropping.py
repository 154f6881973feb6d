"""The part of a clip's coded pictures that its file shows: Matroska's PixelCrop, MP4's `clap`.

FFmpeg reads both, but its decoders do not apply them. Shapes: images uint8 (H,W,3), as coded.
Tests: tests/media/decoding/test_cropping.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from fairy.media.colours import Image
from fairy.media.compat import description

_STREAM = re.compile(r"^ *Stream #0:(\d+)", re.MULTILINE)
_CROPPING = re.compile(r"^ +Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)$", re.MULTILINE)
_CONTAINERS = ("mov,", "matroska,")


@dataclass(frozen=True)
class Cropping:
    """Pixels of a coded picture that are not shown, by its side."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream) -> Cropping:
        """Return what the file says of a stream; nothing if no pixel would be left."""
        if not container.format.name.startswith(_CONTAINERS):
            return cls()
        # Text before, between and after: the part after a stream's number describes it
        _, *parts = _STREAM.split(description(container))
        described = dict(zip(parts[::2], parts[1::2], strict=True))
        found = _CROPPING.search(described.get(str(stream.index), ""))
        cropping = cls(*map(int, found.groups())) if found else cls()
        codec = stream.codec_context
        return cropping if min(cropping.size(codec.height, codec.width)) > 0 else cls()

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) that is shown of a coded picture of this size."""
        return height - self.top - self.bottom, width - self.left - self.right

    def apply(self, image: Image) -> Image:
        """Return the shown part of an image, uint8 (H,W,3)."""
        height, width = self.size(*image.shape[:2])
        return np.ascontiguousarray(
            image[self.top : self.top + height, self.left : self.left + width]
        )
