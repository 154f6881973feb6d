"""Decode packets to pictures, each once, in display order; repeat the last good one for lost ones.

The packets define the timeline. If every packet is one picture (`is_one_to_one`), every shown
packet yields a picture, either decoded or a copy, so counting packets counts pictures. Otherwise
(VP8's hidden pictures, streams without times), only a packet that the decoder rejected is replaced
by a copy. Tests: tests/media/decoding/test_decode.py.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from fairy.errors import MediaError
from fairy.media.compat import keep_colours
from fairy.media.decoding.clock import AnyPacket, clock_of, packets_of
from fairy.media.decoding.container import shown_name
from fairy.media.decoding.vp9 import is_hidden_vp9

logger = logging.getLogger(__name__)

# Codecs and containers in which every packet is one picture with its own time.
_CODECS = {"h264", "hevc", "av1", "vp9", "mjpeg", "h263", "prores", "ffv1", "png"}
_CONTAINERS = ("mov,", "matroska,")
# AVI and raw streams store no presentation times, and FFmpeg's guesses are wrong for codecs that
# reorder pictures. For these, each picture is shown at the next decoding time.
_WITHOUT_TIMES = {"avi", "h264", "hevc", "m4v", "mpegvideo"}
_REORDERING = {"h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "vc1", "wmv3"}
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass
class Picture:
    """A decoded picture with its time, in ticks of the stream.

    Attributes:
        frame: as FFmpeg decoded it.
        pts: when it is shown; increases from picture to picture.
        duration: how long it is shown; 0 if the file does not specify it.
        stands_in: whether this is a copy of another picture because its own cannot be decoded.
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


def readable_packets(container: InputContainer, stream: VideoStream) -> Iterator[AnyPacket]:
    """Yield the stream's packets up to where the file can no longer be read."""
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


def is_shown(packet: AnyPacket) -> bool:
    """Return whether a packet holds a visible picture within the file's edit list."""
    return packet.size > 0 and not packet.is_discard and not is_hidden_vp9(packet)


class Pictures:
    """Iterates over the pictures of a stream.

    Decoding uses slice threads, the default here: with frame threads, a damaged packet would also
    damage its neighbours.

    Args:
        stream: the video stream.
        packets: its packets, starting at a key frame.
        start: drop pictures shown before this time: they may depend on earlier packets.
        strict: raise MediaError when a picture cannot be decoded.

    Attributes:
        num_shown: pictures yielded so far.
        num_lost: of these, copies that replace a picture that cannot be decoded.
        num_late: of these, pictures whose own time was not after the one before.
        is_damaged: whether the decoder rejected a packet or marked a picture as corrupt.
    """

    def __init__(
        self,
        stream: VideoStream,
        packets: Iterable[AnyPacket],
        *,
        start: int | None = None,
        strict: bool = False,
    ) -> None:
        self._stream, self._packets, self._strict = stream, packets, strict
        self._decoder = _decoder(stream)
        self._one_to_one = is_one_to_one(stream)
        self._has_times = (
            stream.container.format.name not in _WITHOUT_TIMES
            or stream.codec_context.codec.canonical_name not in _REORDERING
        )
        # Decoding times, from the first key frame on, not yet assigned to a picture
        self._slots: deque[int] = deque()
        self._has_begun = False
        self._drop_before, self._start = start, start
        # Times of the pictures still expected -> their durations
        self._due: dict[int, int] = {}
        self._last: Picture | None = None
        self._stood_in: set[int] = set()
        self.num_shown = self.num_lost = self.num_late = 0
        self.is_damaged = False
        # Width of a pixel divided by its height; None or 0 if the decoder does not know it
        self._pixel_aspects: list[Fraction | None] = []
        self._num_interlaced = 0
        self._begins_interlaced: bool | None = None

    def __iter__(self) -> Iterator[Picture]:
        """Yield every picture once, in display order."""
        for packet in self._packets:
            for frame in self._decode(packet):
                yield from self._place(frame)
        yield from self._rest()

    def log_damage(self) -> None:
        """Log a warning for pictures lost so far, and for each change in the middle."""
        name = shown_name(self._stream.container)
        if self.num_lost:
            logger.warning(
                "%s: %d of %d pictures cannot be decoded; the last good one is shown instead",
                name, self.num_lost, self.num_shown,
            )  # fmt: skip
        if self.num_late:
            logger.warning(
                "%s: %d of %d pictures have a time that is not after the one before; "
                "shown right after",
                name, self.num_late, self.num_shown,
            )  # fmt: skip
        if self._num_interlaced and not self._begins_interlaced:
            logger.warning(
                "%s: %d of %d pictures are interlaced; made into whole ones (bwdif)",
                name, self._num_interlaced, self.num_shown,
            )  # fmt: skip
        known = [aspect for aspect in self._pixel_aspects if aspect]
        if len(known) > 1:
            logger.warning(
                "%s: the shape of the pixels changes in the middle: %s; all are shown as the first",
                name, ", ".join(f"{aspect.numerator}:{aspect.denominator}" for aspect in known),
            )  # fmt: skip

    def _decode(self, packet: AnyPacket) -> list[av.VideoFrame]:
        if not self._has_times:
            packet.pts = packet.dts
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError:
            self._expect(packet, refused=True)
            self.is_damaged = True
            return []
        self._expect(packet, refused=False)
        if not self._has_times:
            self._give_times(packet, frames)
        for frame in frames:
            keep_colours(frame, self._decoder)
            if (aspect := self._decoder.sample_aspect_ratio) not in self._pixel_aspects:
                self._pixel_aspects.append(aspect)
            self.is_damaged |= frame.is_corrupt
            self._num_interlaced += frame.interlaced_frame
            if self._begins_interlaced is None:
                self._begins_interlaced = bool(frame.interlaced_frame)
        return [frame for frame in frames if not self._is_too_early(frame.pts)]

    def _give_times(self, packet: AnyPacket, frames: list[av.VideoFrame]) -> None:
        """Set the time of each frame from its position in display order."""
        self._has_begun |= packet.is_keyframe
        if self._has_begun and packet.size > 0 and packet.dts is not None:
            self._slots.append(packet.dts)
        for frame in frames:
            frame.pts = self._slots.popleft() if self._slots else None

    def _is_too_early(self, pts: int | None) -> bool:
        return None not in (pts, self._drop_before) and pts < self._drop_before  # type: ignore[operator]

    def _expect(self, packet: AnyPacket, *, refused: bool) -> None:
        """Record that a packet's picture is due; a rejected one's only if its time is known."""
        if packet.pts is None or not is_shown(packet) or self._is_too_early(packet.pts):
            return
        if self._start is None:
            self._start = packet.pts
        # Pictures shown before the first key frame depend on packets that are not in the file.
        if refused or (self._one_to_one and packet.pts >= self._start):
            self._due[packet.pts] = packet.duration or 0

    def _place(self, frame: av.VideoFrame) -> Iterator[Picture]:
        """Yield copies for the pictures that are due before `frame`, then `frame`."""
        if frame.pts in self._stood_in:
            # Too late: a later picture came first, and a copy was shown in its place.
            return
        pts, duration = self._time(frame), frame.duration
        self._due.pop(pts if frame.pts is None else frame.pts, None)
        picture = Picture(frame, pts, duration)
        for time in sorted(time for time in self._due if time < pts):
            yield self._shown(self._stand_in(self._last or picture, time))
        yield self._shown(picture)

    def _rest(self) -> Iterator[Picture]:
        """Yield copies for the pictures that are still due at the end."""
        if self._last is None:
            return
        for time in sorted(self._due):
            yield self._shown(self._stand_in(self._last, time))

    def _stand_in(self, good: Picture, pts: int) -> Picture:
        if self._strict:
            time_s = float(pts * (self._stream.time_base or 0))
            raise MediaError(
                f"{shown_name(self._stream.container)}: the picture at {time_s:.3f} s cannot "
                "be decoded: without --strict the last good one stands in"
            )
        self.num_lost += 1
        self._stood_in.add(pts)
        return replace(good, pts=pts, duration=self._due.pop(pts), stands_in=True)

    def _shown(self, picture: Picture) -> Picture:
        self.num_shown += 1
        self._last = picture
        return picture

    def _time(self, frame: av.VideoFrame) -> int:
        """Return when a frame is shown, after the last one."""
        last = self._last
        pts = self._guessed_time(frame) if frame.pts is None else frame.pts
        if last is not None and pts <= last.pts:
            self.num_late += 1
            return last.pts + 1
        return pts

    def _guessed_time(self, frame: av.VideoFrame) -> int:
        """Return the time of a frame's packet, else of one frame after the last one."""
        container = self._stream.container
        assert isinstance(container, InputContainer)
        start = clock_of(container).starts.get(self._stream.index)
        # Where the first packets have no times, FFmpeg's dts is a guess
        if start is None and frame.dts is not None:
            return frame.dts
        return (start or 0) if self._last is None else self._last.pts + max(frame.duration, 1)


def _decoder(stream: VideoStream) -> VideoCodecContext:
    """Return the stream's decoder: libvpx for alpha, which FFmpeg's own decoders do not decode."""
    name = stream.codec_context.codec.canonical_name
    if stream.metadata.get("alpha_mode") != "1" or name not in _WITH_ALPHA:
        return stream.codec_context
    decoder = av.CodecContext.create(_WITH_ALPHA[name], "r")
    assert isinstance(decoder, VideoCodecContext)
    return decoder
