"""Encode frames with FFmpeg and write them, with the source's other tracks, to one file.

`fairy.media.encoding.codecs` chooses codec and options; `fairy.media.write` publishes the file.
Shapes: frames uint8 (H,W,3) RGB. Tests: tests/media/test_write.py.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.codec.context import Flags

from fairy.errors import MediaError
from fairy.media.colours import Image, from_rgb, output_tags
from fairy.media.encoding.codecs import Encoding, Options
from fairy.media.encoding.gif import GIF_MIN_STEP, GIF_TIME_BASE, GifPalette
from fairy.media.encoding.other_streams import (
    CarriedStreams,
    copy_description,
    say_lost_metadata,
)
from fairy.media.encoding.tracks import PRE_ROLL_S
from fairy.media.h264 import ParameterSets
from fairy.media.info import VideoInfo
from fairy.system import own_priority

# Frames between decoding and showing a frame, as x265 orders B-frames
X265_DELAY = 2
# Clips that begin later than this are moved to time 0. Titles and other streams that come first
# cause shorter delays
LATE_S = 10.0

logger = logging.getLogger(__name__)

VideoPacket: TypeAlias = "av.Packet[av.VideoStream]"


class VideoEncoder:
    """Encodes frames at their own timestamps and adds the source's other tracks.

    The time base is as fine as the source's, so MP4 and MOV keep its timestamps exactly. MKV and
    WebM round to milliseconds. GIF rounds to hundredths of a second, at least two per frame.
    """

    def __init__(
        self, path: Path, encoding: Encoding, info: VideoInfo, height: int, width: int, *,
        tracks: bool = True, comment: str | None = None,
    ) -> None:  # fmt: skip
        """Open `path` for frames of (height, width), with the colour tags and timing of `info`.

        With `tracks`, sound, subtitles, chapters and metadata are copied from `info`, and
        `comment` is added to the metadata.
        """
        self._encoding, self._info = encoding, info
        self._size, self._pixel_aspect = _stored_size(encoding, info, height, width)
        if not encoding.codec.takes_size(*self._size):
            raise MediaError(
                f"its codec takes no pictures as thin as {self._size[1]}x{self._size[0]}: use "
                "another --codec, such as h264"
            )
        self._pad = _padding(encoding, *self._size)
        # Warn once per file, not once per segment
        if tracks:
            _say_changes(encoding, (height, width), self._size, self._pad)
        self._path = path
        self._is_gif = encoding.codec.encoder == "gif"
        late_s = _late_s(encoding, info)
        # Without "file:", FFmpeg reads a colon in the name as the end of a protocol
        self._file = av.open(
            f"file:{path}", "w", format=encoding.container.muxer,
            container_options=encoding.container.options | _shift(info, late_s),
        )  # fmt: skip
        self._last_pts: int | None = None
        self._num_frames = 0
        self._add_video()
        self._tracks: CarriedStreams | None = None
        if tracks:
            if late_s:
                logger.warning("begins at %.3f s; made to begin at 0", late_s)
            copy_description(info, self._file, comment, late_s)
            if info.stream_index is not None:
                self._tracks = CarriedStreams(info, self._file, encoding.container)
                # This writes the file's header, which sets the time bases
                with own_priority():
                    self._file.start_encoding()
        self._palette = GifPalette(*self._size) if self._is_gif else None

    def write(self, image: Image, pts: int, time_base: Fraction, duration: int) -> None:
        """Encode one frame uint8 (H,W,3), shown at `pts * time_base` seconds."""
        self._mux(self.encode(image, pts, time_base, duration), pts * time_base)

    def copy(self, packet: VideoPacket) -> None:
        """Add a packet from another encoder with the same header (`encoding.segments`)."""
        assert packet.pts is not None
        packet.stream = self._video
        self._mux([packet], packet.pts * packet.time_base)

    def header(self) -> bytes:
        """Return the encoder's header, as FFmpeg's encoders give it ("extradata")."""
        if not self._video.codec_context.is_open:
            with own_priority():
                self._video.codec_context.open()
        return self._video.codec_context.extradata or b""

    def encode(
        self, image: Image, pts: int, time_base: Fraction, duration: int
    ) -> list[VideoPacket]:
        """Encode one frame, as in `write`, and return the packets that are ready."""
        if image.shape[:2] != self._size:
            # This imports torch, which reading and writing avoid where they can
            from fairy.media.frames import resize

            image = resize(image, self._size)
        if self._palette is not None:
            frame = self._palette.apply(image)
        else:
            padded = np.pad(image, (*self._pad, (0, 0)), mode="edge")
            frame = from_rgb(padded, self._info.colours, self._encoding.pix_fmt)
        frame.pts = self._ticks(pts * time_base)
        frame.time_base = self._time_base
        frame.duration = round(duration * time_base / self._time_base)
        self._num_frames += 1
        # The first frame may open the encoder
        with own_priority():
            return self._video.encode(frame)

    def flush(self) -> list[VideoPacket]:
        """Return the encoder's remaining packets; no frame can be added after this."""
        packets = self._video.encode(None)
        if self._encoding.codec.encoder == "libx265" and self._num_frames <= X265_DELAY:
            for packet in packets:
                _set_x265_dts(packet)
        return packets

    def close(self) -> None:
        """Write the remaining packets of all tracks and close the file."""
        self._mux(self.flush(), None)
        if self._tracks is not None:
            self._tracks.close()
        self._file.close()
        if self._tracks is not None:
            say_lost_metadata(self._info, self._path)

    def abandon(self) -> None:
        """Close the file without finishing it; its content is not usable."""
        if self._tracks is not None:
            self._tracks.close()
        self._file.close()

    def _mux(self, packets: list[VideoPacket], time_s: Fraction | None) -> None:
        """Write packets, and those of other tracks that start by `time_s` (None: all the rest)."""
        if self._tracks is not None:
            self._file.mux(list(self._tracks.until(time_s)))
        try:
            self._file.mux(packets)
        except av.error.PatchWelcomeError as error:
            # B-frames lengthen the steps between packets; muxers then raise this error
            raise too_far_apart(self._encoding) from error

    def _add_video(self) -> None:
        encoding, info = self._encoding, self._info
        self._time_base = output_time_base(encoding, info)
        stream = self._file.add_stream(
            encoding.codec.encoder, rate=info.fps.limit_denominator(100_000),
            options=encoding.options,
        )  # fmt: skip
        assert isinstance(stream, av.VideoStream)
        codec = stream.codec_context
        (rows, columns), (height, width) = (after for _, after in self._pad), self._size
        codec.height, codec.width = height + rows, width + columns
        codec.pix_fmt = encoding.pix_fmt
        codec.time_base = stream.time_base = self._time_base
        # Without this flag the encoder derives the last frame's duration from the frame rate.
        codec.flags |= Flags.frame_duration
        codec.sample_aspect_ratio = self._pixel_aspect
        if encoding.codec.encoder == "libx265" and encoding.container.muxer in ("mp4", "mov"):
            # Apple's players accept HEVC only with this tag.
            codec.codec_tag = "hvc1"
        if not self._is_gif:
            tags = output_tags(info.colours, encoding.pix_fmt)
            codec.colorspace, codec.color_range = tags.matrix, tags.range
            codec.color_primaries, codec.color_trc = tags.primaries, tags.transfer
        self._video = stream
        if encoding.others is not None:
            sets = encoding.others + ParameterSets.of_annexb(self.header())
            codec.extradata = sets.record()

    def _ticks(self, time_s: Fraction) -> int:
        """Return the time in ticks of the output, always later than the last frame's."""
        pts = round(time_s / self._time_base)
        step = GIF_MIN_STEP if self._is_gif else 1
        if self._last_pts is not None and pts < self._last_pts + step:
            pts = self._last_pts + step
        if self._last_pts is not None and pts - self._last_pts > self._encoding.container.max_step:
            raise too_far_apart(self._encoding)
        self._last_pts = pts
        return pts


def output_time_base(encoding: Encoding, info: VideoInfo) -> Fraction:
    """Return the length of one tick of the output, in seconds."""
    if encoding.codec.encoder == "gif":
        return GIF_TIME_BASE
    return Fraction(1, min(info.time_base.denominator, encoding.codec.max_timescale))


def too_far_apart(encoding: Encoding) -> MediaError:
    """Return the error for two frames with more ticks between them than the file can store."""
    muxer = encoding.container.muxer
    return MediaError(f"two frames lie further apart in time than .{muxer} holds: use .mkv")


def _shift(info: VideoInfo, late_s: float) -> Options:
    """Return options that move a clip that begins before time 0, or late, to begin at 0.

    All its tracks move together. MP4 and MOV would hide frames before 0.
    """
    if late_s:
        return {"output_ts_offset": f"{-late_s:.6f}"}
    return {"avoid_negative_ts": "make_non_negative"} if info.start_s < 0 else {}


def _late_s(encoding: Encoding, info: VideoInfo) -> float:
    """Return the time in seconds that becomes time 0 in the output.

    MP4 and MOV would show nothing until the clip begins, which may take hours. Matroska files can
    begin late.
    """
    start_s = float(info.file_start_s)
    if encoding.container.muxer not in ("mp4", "mov") or start_s < LATE_S:
        return 0.0
    # Sound shortly before the first frame is only there for its decoder and is not heard
    return info.start_s if info.start_s - start_s < PRE_ROLL_S else start_s


def _set_x265_dts(packet: VideoPacket) -> None:
    """Set a packet's decoding time as x265 would in a longer clip.

    x265 derives it from the frame X265_DELAY after the first. Without such a frame it returns an
    arbitrary number.
    """
    if packet.pts is not None:
        packet.dts = packet.pts - X265_DELAY * (packet.duration or 0)


def _stored_size(
    encoding: Encoding, info: VideoInfo, height: int, width: int
) -> tuple[tuple[int, int], Fraction]:
    """Return the stored (height, width) and pixel aspect; square if the file cannot store it."""
    aspect = info.sample_aspect_ratio
    if aspect == 1 or encoding.keeps_aspect:
        return (height, width), aspect
    return (height, round(width * aspect)), Fraction(1)


def _padding(
    encoding: Encoding, height: int, width: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the rows and columns to add, each as (before, after)."""
    rows, columns = -height % encoding.padding[0], -width % encoding.padding[1]
    return (0, rows), (0, columns)


def _say_changes(
    encoding: Encoding,
    given: tuple[int, int],
    stored: tuple[int, int],
    pad: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    """Warn if the file cannot store the given (height, width)."""
    name, (height, width) = encoding.codec.encoder, stored
    (_, rows), (_, columns) = pad
    if stored != given:
        logger.warning(
            "%s in %s has square pixels only: %dx%d becomes %dx%d",
            name, encoding.container.muxer, given[1], given[0], width, height,
        )  # fmt: skip
    if rows or columns:
        logger.warning(
            "%s as %s takes even sizes only: %dx%d is written as %dx%d, the last line doubled",
            name, encoding.pix_fmt, width, height, width + columns, height + rows,
        )  # fmt: skip
