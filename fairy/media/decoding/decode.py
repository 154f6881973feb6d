"""Packets to decoded pictures, each once, in the order shown; the last good one where one is lost.

A clip's timeline is what its packets say. Where a codec makes exactly one picture of each packet
(`is_one_to_one`), every packet that is shown has its picture here, decoded or standing in, so
counting packets counts pictures; elsewhere (VP8's hidden pictures, streams without times) pictures
stand in only for packets that the decoder refused.
Tests: tests/media/decoding/test_decode.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from fairy.errors import MediaError
from fairy.media.decoding.clock import AnyPacket, packets_of
from fairy.media.decoding.container import shown_name

logger = logging.getLogger(__name__)

# Codecs and containers in which every packet is one picture with its own time.
_CODECS = {"h264", "hevc", "av1", "vp9", "mjpeg", "h263", "prores", "ffv1", "png"}
_CONTAINERS = ("mov,", "matroska,")
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass
class Picture:
    """A decoded picture at its time, in ticks of the stream.

    Attributes:
        frame: as FFmpeg decoded it.
        pts: when it is shown; grows from picture to picture.
        duration: how long; 0 where the file does not say.
        stands_in: whether it is another's, since its own could not be decoded.
    """

    frame: av.VideoFrame
    pts: int
    duration: int
    stands_in: bool = False


def is_one_to_one(stream: VideoStream) -> bool:
    """Return whether each packet of `stream` is one picture with its own time."""
    return (
        stream.codec_context.codec.canonical_name in _CODECS
        and stream.container.format.name.startswith(_CONTAINERS)
    )


def decode(container: InputContainer, stream: VideoStream, *, strict: bool) -> Iterator[Picture]:
    """Yield every picture of `stream`.

    Decoding stays with slice threads (FFmpeg's default here): with frame threads one damaged
    packet costs its neighbours too.

    Args:
        container: the open file.
        stream: its video stream.
        strict: a picture that cannot be decoded is an error.

    Raises:
        MediaError: no picture can be decoded; or with `strict`, one cannot.
    """
    timeline = _Timeline(stream)
    for frames in _decoded(container, stream, timeline):
        for frame in frames:
            for picture in timeline.place(frame):
                yield _checked(picture, stream, strict)
    for picture in timeline.rest():
        yield _checked(picture, stream, strict)
    if timeline.num_lost:
        logger.warning(
            "%s: %d of %d pictures cannot be decoded; the last good one is shown instead",
            shown_name(container), timeline.num_lost, timeline.num_shown,
        )  # fmt: skip
    if timeline.num_late:
        logger.warning(
            "%s: %d of %d pictures have a time that is not after the one before; shown right after",
            shown_name(container), timeline.num_late, timeline.num_shown,
        )  # fmt: skip


def packet_times(container: InputContainer, stream: VideoStream) -> list[tuple[int, int]] | None:
    """Return (pts, duration) in ticks of every picture `decode` gives, or None: only it can tell.

    Reads the file without decoding it.
    """
    if not is_one_to_one(stream):
        return None
    shown = [packet for packet in _packets(container, stream) if _is_shown(packet)]
    times = [(packet.pts, packet.duration or 0) for packet in shown if packet.pts is not None]
    starts = {pts for pts, _ in times}
    if not times or len(starts) < len(shown) or times[0][0] != min(starts):
        return None
    return sorted(times)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[AnyPacket]:
    """Yield the stream's packets, as far as the file can be read."""
    packets = packets_of(container, [stream])
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            logger.warning("%s: reading ends early: %s", shown_name(container), error.strerror)
            return
        if packet is None:
            return
        yield packet


def _decoded(
    container: InputContainer, stream: VideoStream, timeline: _Timeline
) -> Iterator[list[av.VideoFrame]]:
    """Yield the frames that each packet gives; tell the timeline of each packet."""
    decoder = _decoder(stream)
    for packet in _packets(container, stream):
        try:
            frames = decoder.decode(packet)
        except av.error.FFmpegError:
            timeline.expect(packet, refused=True)
        else:
            timeline.expect(packet, refused=False)
            yield frames


def _decoder(stream: VideoStream) -> VideoCodecContext:
    """Return what decodes the stream: libvpx where it is transparent, which FFmpeg's own is not."""
    name = stream.codec_context.codec.canonical_name
    if stream.metadata.get("alpha_mode") != "1" or name not in _WITH_ALPHA:
        return stream.codec_context
    decoder = av.CodecContext.create(_WITH_ALPHA[name], "r")
    assert isinstance(decoder, VideoCodecContext)
    return decoder


def _is_shown(packet: AnyPacket) -> bool:
    """Return whether a packet holds a picture within the file's edit list."""
    return packet.size > 0 and not packet.is_discard


class _Timeline:
    """Which pictures are due, and what is shown in the place of those that never come."""

    def __init__(self, stream: VideoStream) -> None:
        self._one_to_one = is_one_to_one(stream)
        self._due: dict[int, int] = {}
        self._start: int | None = None
        self._last: Picture | None = None
        self._stood_in: set[int] = set()
        self.num_lost = self.num_shown = self.num_late = 0

    def expect(self, packet: AnyPacket, *, refused: bool) -> None:
        """Take note of a packet; a refused one's picture is due wherever its time is known."""
        if packet.pts is None or not _is_shown(packet):
            return
        if self._start is None:
            self._start = packet.pts
        # Pictures before the first key frame's lean on what the file does not hold.
        if refused or (self._one_to_one and packet.pts >= self._start):
            self._due[packet.pts] = packet.duration or 0

    def place(self, frame: av.VideoFrame) -> Iterator[Picture]:
        """Yield the pictures that are due before `frame`, then `frame`."""
        if frame.pts in self._stood_in:
            # It comes after a later one: another has been shown for it.
            return
        pts, duration = self._time(frame), frame.duration
        self._due.pop(pts if frame.pts is None else frame.pts, None)
        picture = Picture(frame, pts, duration)
        lost = sorted(time for time in self._due if time < pts)
        for time in lost:
            yield self._shown(self._stand_in(self._last or picture, time))
        yield self._shown(picture)

    def rest(self) -> Iterator[Picture]:
        """Yield what stands in for the pictures that are still due at the end."""
        if self._last is None:
            return
        for time in sorted(self._due):
            yield self._shown(self._stand_in(self._last, time))

    def _stand_in(self, good: Picture, pts: int) -> Picture:
        self.num_lost += 1
        self._stood_in.add(pts)
        return replace(good, pts=pts, duration=self._due.pop(pts), stands_in=True)

    def _shown(self, picture: Picture) -> Picture:
        self.num_shown += 1
        self._last = picture
        return picture

    def _time(self, frame: av.VideoFrame) -> int:
        """Return the frame's time: its own, its packet's, or one frame after the last."""
        last = self._last
        guess = 0 if last is None else last.pts + max(frame.duration, 1)
        pts = next((time for time in (frame.pts, frame.dts) if time is not None), guess)
        if last is not None and pts <= last.pts:
            self.num_late += 1
            return last.pts + 1
        return pts


def _checked(picture: Picture, stream: VideoStream, strict: bool) -> Picture:
    if strict and picture.stands_in:
        time_s = float(picture.pts * (stream.time_base or 0))
        raise MediaError(
            f"{shown_name(stream.container)}: the picture at {time_s:.3f} s cannot "
            "be decoded: without --strict the last good one stands in"
        )
    return picture
