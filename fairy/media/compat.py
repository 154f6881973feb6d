"""All the workarounds for differences between the PyAV versions that Fairy supports.

Checked with PyAV 16.0, 17.0 and 18.1. With PyAV 16, swscale assumes that 4:2:0 chroma is centred
between the pixels. Later versions use the position that the clip is tagged with, so colours at
sharp edges differ slightly. Tests: tests/media/test_compat.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any

import av
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation

# Bicubic scaling with full-resolution chroma and rounding instead of truncation. Without these
# swscale flags, greys come back up to 2 levels off. PyAV names all of them only from 18 on.
_FULL_CHR_H_INT, _FULL_CHR_H_INP, _ACCURATE_RND = 0x2000, 0x4000, 0x40000
ACCURATE_BICUBIC = int(Interpolation.BICUBIC) | _FULL_CHR_H_INT | _FULL_CHR_H_INP | _ACCURATE_RND
# Swscale's own numbers for BT.709 and BT.601
_SWS_709, _SWS_601 = 1, 5
# From PyAV 17 on, frames have their own primaries and transfer curve
_FRAMES_HAVE_COLOURS = hasattr(av.VideoFrame, "color_trc")
_UNSPECIFIED = 2
# FFmpeg's AVDISCARD_ALL
_DISCARD_ALL = 48
_log_level_lock = Lock()
# A stream's number, kind and codec in a description
_STREAM = re.compile(r"^ *Stream #0:(\d+).*?: (\w+: \w+)", re.MULTILINE)


def open_input(url: str, options: dict[str, str]) -> InputContainer:
    """Open a file for reading; accept metadata that is not UTF-8, which some phones write."""
    try:
        return av.open(url, options=options, metadata_errors="replace")
    except TypeError:
        # A PyAV without this argument handles such metadata differently
        return av.open(url, options=options)


def demux(container: InputContainer, streams: Iterable[Stream]) -> Iterator[Packet[Stream]]:
    """Yield the packets of `streams` in file order, then FFmpeg's empty flush packets.

    PyAV fails at the very end, after the flush packets, if another stream began in the middle.
    """
    try:
        yield from container.demux(list(streams))
    except IndexError:
        return


def late_streams(container: InputContainer) -> list[str]:
    """Return the kind and codec of streams that began in the middle, once all packets are read."""
    described = _STREAM.findall(description(container))
    return [words for number, words in described if int(number) >= len(container.streams)]


def description(container: InputContainer) -> str:
    """Return FFmpeg's description of an open file, with side data of streams.

    PyAV gives that side data in no other way, and the description only at this log level.
    """
    with _log_level_lock:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            # Missing in PyAV's stubs
            text: str = container.dumps_format()  # type: ignore[attr-defined]
            return text
        finally:
            av.logging.set_level(level)


def index_end(stream: Stream) -> int:
    """Return the byte offset where the last packet in the file's index ends; 0 for PyAV 16.0."""
    entries = getattr(stream, "index_entries", ())
    return max((entry.pos + entry.size for entry in entries), default=0)


def is_unused(stream: Stream) -> bool:
    """Return whether FFmpeg itself has no use for a stream's packets: it has read their content.

    These are the titles of chapters in MP4 and MOV. PyAV 16 does not say it.
    """
    return int(getattr(stream, "discard", 0)) >= _DISCARD_ALL


def rgb_matrix(source: int | None) -> int | None:
    """Return the `dst_colorspace` for a conversion from YUV with swscale's matrix `source` to RGB.

    RGB has no matrix, but PyAV 16 passes the source's to swscale only if the two differ.
    """
    if _FRAMES_HAVE_COLOURS or source is None:
        return None
    return _SWS_601 if source == _SWS_709 else _SWS_709


def keep_colours(frame: av.VideoFrame, decoder: VideoCodecContext) -> None:
    """Attach primaries and transfer curve to a newly decoded frame if PyAV does not set them."""
    if not _FRAMES_HAVE_COLOURS:
        frame.opaque = (decoder.color_primaries, decoder.color_trc)


def primaries_and_transfer(frame: av.VideoFrame) -> tuple[int, int]:
    """Return the H.273 numbers of the frame's primaries and transfer curve; 2 is unspecified."""
    if _FRAMES_HAVE_COLOURS:
        return frame.color_primaries, frame.color_trc
    kept: Any = frame.opaque
    return kept if isinstance(kept, tuple) else (_UNSPECIFIED, _UNSPECIFIED)


def set_primaries_and_transfer(frame: av.VideoFrame, primaries: int, transfer: int) -> None:
    """Tag a frame with H.273 numbers; with PyAV 16 only the encoder's tags reach the file."""
    if _FRAMES_HAVE_COLOURS:
        frame.color_primaries, frame.color_trc = primaries, transfer
    else:
        frame.opaque = (primaries, transfer)


def copy_disposition(stream: Stream, source: Stream) -> None:
    """Copy the roles of `source`, such as default or forced, to `stream`."""
    # Before PyAV 18, a stream accepts only the number of a `Disposition`
    stream.disposition = source.disposition.value  # type: ignore[assignment]
