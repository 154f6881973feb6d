"""What differs between the versions of PyAV that Fairy runs with: all of it is here.

Checked with PyAV 16.0, 17.0 and 18.1. PyAV 16 has swscale take the chroma of 4:2:0 to be centred
between the pixels, later ones to be where the clip says: colours at sharp edges differ a little.
Tests: tests/media/test_compat.py.
"""

from __future__ import annotations

from typing import Any

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation

# Bicubic scaling with chroma at full resolution, rounded and not truncated: without these flags of
# swscale greys come back up to 2 levels off. PyAV has names for all of them only from 18 on.
_FULL_CHR_H_INT, _FULL_CHR_H_INP, _ACCURATE_RND = 0x2000, 0x4000, 0x40000
ACCURATE_BICUBIC = int(Interpolation.BICUBIC) | _FULL_CHR_H_INT | _FULL_CHR_H_INP | _ACCURATE_RND
# Swscale's own numbers of BT.709 and BT.601
_SWS_709, _SWS_601 = 1, 5
# Frames have primaries and transfer curve of their own from PyAV 17 on
_FRAMES_HAVE_COLOURS = hasattr(av.VideoFrame, "color_trc")
_UNSPECIFIED = 2


def open_input(url: str, options: dict[str, str]) -> InputContainer:
    """Open a file for reading; metadata that is not UTF-8, as phones write it, is no error."""
    try:
        return av.open(url, options=options, metadata_errors="replace")
    except TypeError:
        # A PyAV without this argument handles such metadata differently
        return av.open(url, options=options)


def index_end(stream: Stream) -> int:
    """Return where the last packet that the file's index names ends; 0 for PyAV 16.0."""
    entries = getattr(stream, "index_entries", ())
    return max((entry.pos + entry.size for entry in entries), default=0)


def rgb_matrix(source: int | None) -> int | None:
    """Return the `dst_colorspace` for a conversion from YUV with swscale's matrix `source` to RGB.

    RGB has no matrix. But PyAV 16 tells swscale the source's only if this one differs from it.
    """
    if _FRAMES_HAVE_COLOURS or source is None:
        return None
    return _SWS_601 if source == _SWS_709 else _SWS_709


def keep_colours(frame: av.VideoFrame, decoder: VideoCodecContext) -> None:
    """Attach primaries and transfer curve to a frame that was just decoded, where it has none."""
    if not _FRAMES_HAVE_COLOURS:
        frame.opaque = (decoder.color_primaries, decoder.color_trc)


def primaries_and_transfer(frame: av.VideoFrame) -> tuple[int, int]:
    """Return the H.273 numbers of the frame's primaries and transfer curve; 2 is unspecified."""
    if _FRAMES_HAVE_COLOURS:
        return frame.color_primaries, frame.color_trc
    kept: Any = frame.opaque
    return kept if isinstance(kept, tuple) else (_UNSPECIFIED, _UNSPECIFIED)


def set_primaries_and_transfer(frame: av.VideoFrame, primaries: int, transfer: int) -> None:
    """Tag a frame with H.273 numbers; with PyAV 16 the encoder's own tags have to do."""
    if _FRAMES_HAVE_COLOURS:
        frame.color_primaries, frame.color_trc = primaries, transfer
    else:
        frame.opaque = (primaries, transfer)


def copy_disposition(stream: Stream, source: Stream) -> None:
    """Give `stream` the roles of `source`, such as default or forced."""
    # A stream takes no `Disposition` before PyAV 18, but the number of one
    stream.disposition = source.disposition.value  # type: ignore[assignment]
