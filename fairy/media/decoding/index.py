"""Map picture numbers to times by reading the packets, without decoding them.

The index is either exact or missing: it exists only if every packet is one picture with its own
time. Its entries are the key frames from which decoding gives the same pictures as decoding from
the start. Tests: tests/media/decoding/test_index.py.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from av.video.stream import VideoStream

from fairy.media.decoding.clock import AnyPacket, clock_of
from fairy.media.decoding.container import open_video
from fairy.media.decoding.decode import is_one_to_one, is_shown, readable_packets

# NAL unit types where decoding can start: pictures shown later need no earlier data. These are
# IDR pictures (ITU-T H.264, table 7-1), and IDR, BLA and CRA pictures (H.265, table 7-1).
# H.264 recovery points are also marked as key frames, but their first pictures may be inexact.
_H264_ENTRIES = {5}
_HEVC_ENTRIES = set(range(16, 22))


@dataclass(frozen=True)
class Entry:
    """A key frame where decoding can start: the picture's number, and its time in ticks."""

    number: int
    pts: int


@dataclass(frozen=True)
class FrameIndex:
    """The pictures of a stream in display order.

    Attributes:
        times: (pts, duration) of each picture, in ticks of the stream.
        entries: the key frames where decoding can start, in order.
    """

    times: tuple[tuple[int, int], ...]
    entries: tuple[Entry, ...]

    def entry_before(self, number: int) -> Entry | None:
        """Return the last entry at or before picture `number`; None if there is none."""
        place = bisect_right(self.entries, number, key=lambda entry: entry.number)
        return self.entries[place - 1] if place else None

    def number_of(self, pts: int) -> int | None:
        """Return the number of the picture shown at `pts`; None if there is none."""
        number = bisect_left(self.times, (pts,))
        return number if self.times[number : number + 1] and self.times[number][0] == pts else None


def frame_index(path: Path, stream_index: int | None) -> FrameIndex | None:
    """Return the index of a video stream (None: the best), or None if only decoding can give it.

    The result is cached until the file changes.

    Raises:
        MediaError: as `open_video`.
    """
    with open_video(path, stream_index):
        # Opened first for its error messages: `stat` fails on a missing file too
        stat = path.stat()
    return _frame_index(path, stream_index, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=1)
def _frame_index(
    path: Path, stream_index: int | None, size_bytes: int, modified_ns: int, noted_ns: int
) -> FrameIndex | None:
    with open_video(path, stream_index) as (container, stream):
        # Correcting a clock that jumps needs packet numbers, which are unknown after a seek
        if not is_one_to_one(stream) or not clock_of(container).is_steady:
            return None
        shown: list[tuple[int | None, int]] = []
        key_frames: list[int] = []
        latest: int | None = None
        for packet in readable_packets(container, stream):
            if not is_shown(packet):
                continue
            pts = packet.pts
            shown.append((pts, packet.duration or 0))
            if pts is None:
                continue
            # Everything decoded before an entry must also be shown before it
            if (latest is None or pts > latest) and _is_entry(packet, stream):
                key_frames.append(pts)
            latest = pts if latest is None else max(latest, pts)
    times = [(pts, duration) for pts, duration in shown if pts is not None]
    starts = {pts for pts, _ in times}
    if not times or len(starts) < len(shown) or times[0][0] != min(starts):
        return None
    times.sort()
    numbers = {pts: number for number, (pts, _) in enumerate(times)}
    return FrameIndex(tuple(times), tuple(Entry(numbers[pts], pts) for pts in key_frames))


def _is_entry(packet: AnyPacket, stream: VideoStream) -> bool:
    """Return whether decoding can start at a packet: later pictures need none before it."""
    if not packet.is_keyframe:
        return False
    name = stream.codec_context.codec.canonical_name
    if name not in ("h264", "hevc"):
        return True
    header = stream.codec_context.extradata or b""
    # The decoder configuration record (ISO/IEC 14496-15) gives the size of the length fields
    place = 4 if name == "h264" else 21
    if len(header) <= place or header[0] != 1:
        return False
    length_bytes = (header[place] & 3) + 1
    for first_byte in _nal_units(bytes(packet), length_bytes):
        kind = first_byte & 0x1F if name == "h264" else first_byte >> 1 & 0x3F
        if kind in (_H264_ENTRIES if name == "h264" else _HEVC_ENTRIES):
            return True
    return False


def _nal_units(data: bytes, length_bytes: int) -> list[int]:
    """Return the first byte of each NAL unit; a length field precedes each unit."""
    first_bytes, start = [], 0
    while start + length_bytes < len(data):
        first_bytes.append(data[start + length_bytes])
        start += length_bytes + int.from_bytes(data[start : start + length_bytes], "big")
    return first_bytes
