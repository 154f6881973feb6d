"""Frames and copied audio into one container file, through FFmpeg.

Shapes: frames uint8 (H,W,3) RGB. `fairy.media.write` chooses the container and publishes the
file. Tests: tests/media/test_write.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer

from fairy.errors import MediaError
from fairy.media.colours import Image, from_rgb
from fairy.media.container import open_container
from fairy.media.info import VideoInfo

logger = logging.getLogger(__name__)

# A GIF counts time in hundredths of a second, and players slow a step of one down to ten.
GIF_TIME_BASE = Fraction(1, 100)
GIF_MIN_STEP = 2

VideoPacket: TypeAlias = "av.Packet[av.VideoStream]"


@dataclass(frozen=True)
class Container:
    """How a file of one suffix is written: muxer, video codec, pixel format, their options."""

    muxer: str
    codec: str
    pix_fmt: str
    options: dict[str, str] = field(default_factory=dict)
    muxer_options: dict[str, str] = field(default_factory=dict)


_X264 = {"crf": "15", "preset": "medium"}
_VP9 = {"crf": "16", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}
_FASTSTART = {"movflags": "+faststart"}
CONTAINERS = {
    ".mp4": Container("mp4", "libx264", "yuv420p", _X264, _FASTSTART),
    ".mov": Container("mov", "libx264", "yuv420p", _X264, _FASTSTART),
    ".mkv": Container("matroska", "libx264", "yuv420p", _X264),
    ".webm": Container("webm", "libvpx-vp9", "yuv420p", _VP9),
    ".gif": Container("gif", "gif", "pal8"),
}


class VideoEncoder:
    """Encodes frames at their own timestamps and copies the source's audio beside them.

    The time base is as fine as the source's, so MP4 and MOV keep its timestamps exactly; MKV and
    WebM round to milliseconds, GIF to hundredths of a second (and at least two between frames).
    """

    def __init__(
        self, path: Path, kind: Container, info: VideoInfo, height: int, width: int,
        copy_audio: bool,
    ) -> None:  # fmt: skip
        """Open `path` for frames of (height, width), tagged and timed like `info`."""
        self._kind = kind
        self._info = info
        self._pad = _even_padding(height, width) if kind.pix_fmt == "yuv420p" else ((0, 0), (0, 0))
        self._file = av.open(
            str(path), "w", format=kind.muxer, container_options=kind.muxer_options
        )
        self._last_pts: int | None = None
        self._add_video(height + self._pad[0][1], width + self._pad[1][1])
        self._audio = AudioCopy(info, self._file) if copy_audio and info.audio else None
        self._palette = GifPalette() if kind.codec == "gif" else None

    def write(self, image: Image, pts: int, time_base: Fraction, duration: int) -> None:
        """Encode one frame uint8 (H,W,3), shown at `pts * time_base` seconds."""
        self._mux(self.encode(image, pts, time_base, duration), pts * time_base)

    def copy(self, packet: VideoPacket) -> None:
        """Add a packet that another encoder of the same settings made (`fairy.media.segments`)."""
        assert packet.pts is not None
        packet.stream = self._video
        self._mux([packet], packet.pts * packet.time_base)

    def encode(
        self, image: Image, pts: int, time_base: Fraction, duration: int
    ) -> list[VideoPacket]:
        """Return the packets that are ready once this frame, as for `write`, is added."""
        padded = np.pad(image, (*self._pad, (0, 0)), mode="edge")
        if self._palette is not None:
            frame = self._palette.apply(padded)
        else:
            frame = from_rgb(padded, self._info.colours, self._kind.pix_fmt)
        frame.pts = self._ticks(pts * time_base)
        frame.time_base = self._time_base
        frame.duration = round(duration * time_base / self._time_base)
        return self._video.encode(frame)

    def flush(self) -> list[VideoPacket]:
        """Return the packets that the encoder still holds back; no frame can follow."""
        return self._video.encode(None)

    def close(self) -> None:
        """Encode what is still held back, copy the rest of the audio and end the file."""
        self._mux(self.flush(), None)
        if self._audio is not None:
            self._audio.close()
        self._file.close()

    def abandon(self) -> None:
        """Release the file; what it holds is not to be used."""
        if self._audio is not None:
            self._audio.close()
        self._file.close()

    def _mux(self, packets: list[VideoPacket], time_s: Fraction | None) -> None:
        """Write packets, and the audio that starts by `time_s` (None: all that is left)."""
        if self._audio is not None:
            self._file.mux(list(self._audio.until(time_s)))
        self._file.mux(packets)

    def _add_video(self, height: int, width: int) -> None:
        gif = self._kind.codec == "gif"
        self._time_base = GIF_TIME_BASE if gif else Fraction(1, self._info.time_base.denominator)
        stream = self._file.add_stream(
            self._kind.codec, rate=self._info.fps.limit_denominator(100_000),
            options=self._kind.options,
        )  # fmt: skip
        assert isinstance(stream, av.VideoStream)
        codec = stream.codec_context
        codec.height, codec.width = height, width
        codec.pix_fmt = self._kind.pix_fmt
        codec.time_base = self._time_base
        stream.time_base = self._time_base
        # Without this flag the encoder makes up the last frame's duration from the frame rate.
        codec.flags |= Flags.frame_duration
        codec.sample_aspect_ratio = self._info.sample_aspect_ratio
        if self._kind.codec == "libvpx-vp9" and codec.sample_aspect_ratio not in (None, 1):
            # H.264 carries the aspect in its stream; VP9 leaves it to the container, where PyAV
            # (18) cannot set it.
            logger.warning("WebM is written with square pixels; use .mp4 or .mkv to keep them")
        if not gif:
            codec.colorspace, codec.color_primaries, codec.color_trc = self._info.colours.codes()
            codec.color_range = 1
        self._video = stream

    def _ticks(self, time_s: Fraction) -> int:
        """Return the time in ticks of the output, later than the last frame's."""
        pts = round(time_s / self._time_base)
        step = GIF_MIN_STEP if self._kind.codec == "gif" else 1
        if self._last_pts is not None and pts < self._last_pts + step:
            pts = self._last_pts + step
        self._last_pts = pts
        return pts


class AudioCopy:
    """The source's audio packets, unchanged, in step with the frames written."""

    def __init__(self, info: VideoInfo, output: OutputContainer) -> None:
        """Add a stream to `output` for each audio stream of `info` that it can hold."""
        self._source = open_container(info.path)
        self._streams: dict[int, AudioStream] = {}
        for audio in info.audio:
            stream = self._source.streams[audio.index]
            assert isinstance(stream, AudioStream)
            if audio.codec in output.supported_codecs:
                self._streams[audio.index] = output.add_stream_from_template(stream)
            else:
                logger.warning("%s cannot hold %s audio; left out", output.format.name, audio.codec)
        self._packets = self._demux(self._source)
        self._next: av.Packet[AudioStream] | None = next(self._packets, None)

    def until(self, time_s: Fraction | None) -> Iterator[av.Packet[AudioStream]]:
        """Yield the packets not yet given that start by `time_s` (None: all that are left)."""
        while self._next is not None:
            packet = self._next
            start = packet.dts if packet.dts is not None else packet.pts
            if time_s is not None and start is not None and start * packet.time_base > time_s:
                return
            self._next = next(self._packets, None)
            packet.stream = self._streams[packet.stream_index]
            yield packet

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _demux(self, source: InputContainer) -> Iterator[av.Packet[AudioStream]]:
        streams = tuple(source.streams.audio[i] for i in range(len(source.streams.audio)))
        kept = tuple(stream for stream in streams if stream.index in self._streams)
        if not kept:
            return
        try:
            for packet in source.demux(kept):
                # The demuxer ends with one empty packet per stream, meant for a decoder.
                if packet.size > 0:
                    yield packet
        except av.error.InvalidDataError:
            logger.warning("%s: the audio is damaged; cut there", source.name)


class GifPalette:
    """Gives each picture its own 256 colours, dithered, by FFmpeg's palettegen and paletteuse."""

    def apply(self, image: Image) -> av.VideoFrame:
        """Return uint8 (H,W,3) as a palette picture."""
        height, width = image.shape[:2]
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=width,
            height=height,
            format=av.VideoFormat("rgb24", width, height),
            time_base=GIF_TIME_BASE,
        )
        split, use = graph.add("split"), graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
        palette, sink = graph.add("palettegen", "stats_mode=single"), graph.add("buffersink")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(palette, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = 0, GIF_TIME_BASE
        graph.push(frame)
        graph.push(None)
        picture = graph.pull()
        assert isinstance(picture, av.VideoFrame)
        return picture


def _even_padding(height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the rows and columns to add, since yuv420p holds even sizes only."""
    rows, columns = height % 2, width % 2
    if rows or columns:
        logger.info(
            "%dx%d is odd: written as %dx%d, the last line or column doubled",
            width, height, width + columns, height + rows,
        )  # fmt: skip
    return (0, rows), (0, columns)


def check_support(kind: Container) -> None:
    """Raise MediaError when this FFmpeg has no encoder for `kind`."""
    if kind.codec not in av.codecs_available:
        raise MediaError(f"this FFmpeg has no {kind.codec} encoder: install PyAV's own wheel")
