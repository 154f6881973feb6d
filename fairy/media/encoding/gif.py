"""Convert frames for GIF: 256 colours each, times in hundredths of a second.

Shapes: uint8 (H,W,3) -> a palette picture. Tests: tests/media/encoding/test_gif.py.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from fairy.media.colours import Image

# A GIF counts time in hundredths of a second, and players show a step of 1 as if it were 10.
GIF_TIME_BASE = Fraction(1, 100)
GIF_MIN_STEP = 2
PALETTE_SIDE = 320


class GifPalette:
    """Dithers each frame to its own 256 colours with FFmpeg's palettegen and paletteuse."""

    def __init__(self, height: int, width: int) -> None:
        self._graph = graph = av.filter.Graph()
        source = graph.add_buffer(
            width=width,
            height=height,
            format=av.VideoFormat("rgb24", width, height),
            time_base=GIF_TIME_BASE,
        )
        split, use = graph.add("split"), graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
        small = graph.add("scale", "w={1}:h={0}:flags=neighbor".format(*_few_pixels(height, width)))
        palette, sink = graph.add("palettegen", "stats_mode=single"), graph.add("buffersink")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(small, 1, 0)
        small.link_to(palette)
        palette.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        self._num_pictures = 0

    def apply(self, image: Image) -> av.VideoFrame:
        """Convert uint8 (H,W,3) to a palette picture without a timestamp."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = self._num_pictures, GIF_TIME_BASE
        self._num_pictures += 1
        self._graph.push(frame)
        picture = self._graph.pull()
        assert isinstance(picture, av.VideoFrame)
        return picture


def _few_pixels(height: int, width: int) -> tuple[int, int]:
    """Return a smaller size for counting colours: as good a palette in less time."""
    share = min(1.0, PALETTE_SIDE / max(height, width))
    return max(1, round(height * share)), max(1, round(width * share))
