"""Store parts of an encoded video on disk and join them without re-encoding.

A segment holds the packets of consecutive frames from its own encoder, so it begins with a key
frame. It has no container, so any codec and any timestamp fits. All segments of one video come
from encoders with the same settings, so their packets can be concatenated into one stream, also
with those of frames that are copied (`fairy.media.encoding.copied`).
File: magic, time base as two int64, then each packet as `_PACKET` and its bytes.
Tests: tests/media/encoding/test_segments.py.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import av

from fairy.errors import MediaError
from fairy.media.colours import Image
from fairy.media.encoding.encode import VideoEncoder, VideoPacket
from fairy.media.h264 import annexb_units, prefixed
from fairy.system import write_through

_MAGIC = b"fairy segment 1\n"
_TIME_BASE = struct.Struct("<qq")
# pts, dts, duration in ticks; whether it is a key frame; number of bytes that follow
_PACKET = struct.Struct("<qqq?I")


class SegmentWriter:
    """Writes one segment; `path` appears only once `close` has synced the complete file.

    Args:
        path: the file to write.
        encoder: used for this segment only, and never to write a file itself.
    """

    def __init__(self, path: Path, encoder: VideoEncoder) -> None:
        self._path, self._encoder = path, encoder
        self._part = path.with_name(f"{path.name}.part")
        self._file: BinaryIO = self._part.open("wb")
        self._file.write(_MAGIC)
        self._begun = False

    def write(self, image: Image, pts: int, time_base: Fraction, duration: int) -> None:
        """Encode one frame uint8 (H,W,3), shown at `pts * time_base` seconds."""
        self._keep(self._encoder.encode(image, pts, time_base, duration))

    def close(self) -> None:
        """Encode the remaining frames, sync the file to disk and rename it to `path`."""
        self._keep(self._encoder.flush())
        write_through(self._file)
        self._file.close()
        self._encoder.abandon()
        self._part.replace(self._path)

    def abandon(self) -> None:
        """Delete the unfinished file."""
        self._file.close()
        self._encoder.abandon()
        self._part.unlink(missing_ok=True)

    def _keep(self, packets: Sequence[VideoPacket]) -> None:
        for packet in packets:
            if not self._begun:
                self._file.write(_TIME_BASE.pack(*packet.time_base.as_integer_ratio()))
                self._begun = True
            times = (packet.pts, packet.dts, packet.duration or 0)
            self._file.write(_PACKET.pack(*times, packet.is_keyframe, packet.size))
            self._file.write(bytes(packet))


def read_packets(path: Path) -> Iterator[VideoPacket]:
    """Yield the packets of a segment in decoding order.

    Raises:
        MediaError: the file is not a segment, or is truncated.
    """
    for time_base, (pts, dts, duration, is_keyframe, _), data in _read(path, with_data=True):
        packet = make_packet(data, time_base, pts, duration, is_keyframe)
        packet.dts = dts
        yield packet


def make_packet(
    data: bytes, time_base: Fraction, pts: int, duration: int, is_keyframe: bool
) -> VideoPacket:
    """Return a packet; its times are in ticks of `time_base` seconds."""
    packet = cast("VideoPacket", av.Packet(data))
    packet.pts, packet.duration = pts, duration
    packet.time_base, packet.is_keyframe = time_base, is_keyframe
    return packet


def _read(
    path: Path, *, with_data: bool
) -> Iterator[tuple[Fraction, tuple[int, int, int, bool, int], bytes]]:
    """Yield (time base, fields of `_PACKET`, bytes) of each packet; b"" without `with_data`."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise MediaError(f"{path}: not a segment of an edit: use --restart to start over")
        time_base = Fraction(*_TIME_BASE.unpack(_exactly(file, _TIME_BASE.size, path)))
        while file.peek(1):
            fields = _PACKET.unpack(_exactly(file, _PACKET.size, path))
            data = _exactly(file, fields[-1], path) if with_data else b""
            file.seek(0 if with_data else fields[-1], os.SEEK_CUR)
            yield time_base, fields, data


class Piece(Protocol):
    """Consecutive frames of a stream, encoded."""

    def times(self) -> list[int]:
        """Return the pts of its packets, in decoding order."""

    def packets(self) -> Iterator[VideoPacket]:
        """Yield its packets in decoding order."""


@dataclass(frozen=True)
class SegmentFile:
    """A segment on disk; `with_lengths` gives H.264 packets lengths instead of start codes."""

    path: Path
    with_lengths: bool = False

    def times(self) -> list[int]:
        """Return the pts of its packets, in decoding order."""
        return [fields[0] for _, fields, _ in _read(self.path, with_data=False)]

    def packets(self) -> Iterator[VideoPacket]:
        """Yield its packets in decoding order."""
        for packet in read_packets(self.path):
            yield _prefixed_packet(packet) if self.with_lengths else packet


def _prefixed_packet(packet: VideoPacket) -> VideoPacket:
    assert packet.pts is not None
    data = prefixed(annexb_units(bytes(packet)))
    times = packet.pts, packet.duration or 0
    return make_packet(data, packet.time_base, *times, packet.is_keyframe)


def join_packets(pieces: Sequence[Piece]) -> Iterator[VideoPacket]:
    """Yield the packets of consecutive pieces as one stream with new decoding times.

    Each encoder starts its decoding times before its first frame, by as many frames as it
    reorders. With a variable frame rate the decoding times of two segments could overlap.
    """
    pts = [time for piece in pieces for time in piece.times()]
    packets = (packet for piece in pieces for packet in piece.packets())
    for packet, dts in zip(packets, decoding_times(pts), strict=True):
        packet.dts = dts
        yield packet


def decoding_times(pts: Sequence[int]) -> list[int]:
    """Return increasing decoding times, none later than its frame's pts.

    `pts` is in decoding order.

    >>> decoding_times([0, 30, 10, 20])
    [-10, 0, 10, 20]
    """
    shown = sorted(pts)
    rank = {time: index for index, time in enumerate(shown)}
    delay = max((index - rank[time] for index, time in enumerate(pts)), default=0)
    early = [time - (shown[delay] - shown[0]) for time in shown[:delay]]
    return early + shown[: len(shown) - delay]


def _exactly(file: BinaryIO, size: int, path: Path) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise MediaError(f"{path}: cut short: use --restart to start over")
    return data
