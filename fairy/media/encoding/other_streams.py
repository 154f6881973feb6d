"""What a clip has beside its pictures: sound, subtitles, fonts, chapters, metadata.

Packets are copied unchanged where the output takes their codec; other sound is transcoded, and
what cannot be kept is said. Tests: tests/media/encoding/test_other_streams.py.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import AttachmentStream, Stream
from av.subtitles.stream import SubtitleStream

from fairy.media.compat import copy_disposition
from fairy.media.decoding.clock import AnyPacket, packets_of
from fairy.media.decoding.container import open_container, shown_name
from fairy.media.encoding.codecs import Container
from fairy.media.info import VideoInfo

logger = logging.getLogger(__name__)

# FFmpeg's AVFMT_TS_NONSTRICT: several packets of a stream may have one decoding time.
_TS_NONSTRICT = 0x20000
# Bits per second and channel: no loss that is heard, by the encoders' own listening tests.
TRANSCODED_BIT_RATE = 96_000
# Layouts that every encoder here takes; a file may say "2 channels" and no more.
LAYOUTS = {1: "mono", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
# What a muxer writes by itself, or what is true of the source's container alone.
_OWN_METADATA = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
_TIMECODE = re.compile(r"\d\d:\d\d:\d\d([:;.])\d\d")


class OtherTracks:
    """Sound, subtitles and attached files of a clip, in step with the frames that are written.

    Args:
        info: the clip.
        output: the file to add streams to, before anything is written to it.
        kind: its format.
    """

    def __init__(self, info: VideoInfo, output: OutputContainer, kind: Container) -> None:
        self._path, self._source = info.path, open_container(info.path)
        self._tracks: dict[int, _Track] = {}
        for audio in info.audio:
            stream = self._source.streams[audio.index]
            assert isinstance(stream, AudioStream)
            self._keep(stream, output, kind)
        for subtitle in self._source.streams.subtitles:
            self._keep(subtitle, output, kind)
        for attachment in self._source.streams.attachments:
            _attach(attachment, output, kind)
        self._packets = self._demux()
        self._next: AnyPacket | None = next(self._packets, None)

    def until(self, time_s: Fraction | None) -> Iterator[AnyPacket]:
        """Yield the packets not yet given that start by `time_s` (None: all that are left)."""
        while self._next is not None:
            packet = self._next
            start = packet.dts if packet.dts is not None else packet.pts
            if time_s is not None and start is not None and start * packet.time_base > time_s:
                return
            self._next = next(self._packets, None)
            yield from self._tracks[packet.stream_index].feed(packet)
        if time_s is None:
            for track in self._tracks.values():
                yield from track.finish()

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _keep(
        self, stream: AudioStream | SubtitleStream, output: OutputContainer, kind: Container
    ) -> None:
        """Decide what becomes of a stream: copied, transcoded, or left out."""
        # The stubs say there always is one; FFmpeg makes none for a codec it does not know.
        codec = stream.codec_context.name if stream.codec_context else "unknown"
        where = f"{output.format.name} cannot hold {codec} {stream.type}"
        if codec in output.supported_codecs and _takes(kind.muxer, self._path, stream.index):
            self._tracks[stream.index] = _Copied(stream, output)
        elif isinstance(stream, AudioStream) and kind.audio_encoder is not None:
            self._tracks[stream.index] = _Transcoded(stream, output, kind.audio_encoder)
            logger.warning("%s; transcoded to %s", where, kind.audio_encoder.removeprefix("lib"))
        else:
            logger.warning("%s; left out", where)

    def _demux(self) -> Iterator[AnyPacket]:
        kept = [stream for stream in self._source.streams if stream.index in self._tracks]
        if not kept:
            return
        try:
            for packet in packets_of(self._source, kept):
                # The demuxer ends with one empty packet per stream, meant for a decoder.
                if packet.size > 0:
                    yield packet
        except av.error.FFmpegError:
            logger.warning("%s: the sound is damaged; cut there", shown_name(self._source))


def _attach(source: AttachmentStream, output: OutputContainer, kind: Container) -> None:
    """Copy an attached file, such as a font that the subtitles are written in."""
    name = source.name or "unnamed"
    if kind.muxer == "matroska":
        mimetype = source.mimetype or "application/octet-stream"
        output.add_attachment(name, mimetype, source.data)
    else:
        logger.warning("%s cannot hold attached files; %s left out", output.format.name, name)


def _takes(muxer: str, path: Path, index: int) -> bool:
    """Ask a muxer whether it takes a stream, by a file of the stream's first packet alone.

    It may refuse a codec that it lists, by its rate, its layout or at the file's very end.
    """
    with open_container(path) as source:
        stream = source.streams[index]
        try:
            packet = next((packet for packet in source.demux(stream) if packet.size), None)
            with av.open(io.BytesIO(), "w", format=muxer) as trial:
                copy = trial.add_stream_from_template(stream)
                if packet is not None:
                    packet.stream = copy
                    trial.mux(packet)
        except av.error.FFmpegError:
            return False
    return True


class _Track(Protocol):
    def feed(self, packet: AnyPacket) -> Iterator[AnyPacket]: ...
    def finish(self) -> Iterator[AnyPacket]: ...


class _Copied:
    """Every packet as it is, its times in the output's ticks.

    Where two packets fall on one tick that the output holds only one on, as in MP4 and MOV, the
    later one moves to the next.
    """

    def __init__(self, source: AudioStream | SubtitleStream, output: OutputContainer) -> None:
        self._stream = output.add_stream_from_template(source)
        _describe_like(self._stream, source)
        shares_ticks = bool(output.format.flags & _TS_NONSTRICT) or source.type == "subtitle"
        self._least_step = 0 if shares_ticks else 1
        self._next_dts: int | None = None

    def feed(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        # Set by the muxer when it wrote the file's head
        assert self._stream.time_base is not None
        scale = packet.time_base / self._stream.time_base
        times = [time for time in (packet.dts, packet.pts) if time is not None]
        dts = round(times[0] * scale) if times else self._next_dts
        duration = round((packet.duration or 0) * scale)
        if dts is not None:
            dts = dts if self._next_dts is None else max(dts, self._next_dts)
            pts = dts if packet.pts is None else max(round(packet.pts * scale), dts)
            if not duration and self._least_step and self._next_dts is not None:
                # MP4 and MOV would hide a last packet of no duration: it lasts as the one before
                duration = dts + self._least_step - self._next_dts
            packet.pts, packet.dts = pts, dts
            self._next_dts = dts + self._least_step
        packet.duration = duration
        packet.time_base = self._stream.time_base
        packet.stream = self._stream
        yield packet

    def finish(self) -> Iterator[AnyPacket]:
        yield from ()


class _Transcoded:
    """Sound decoded and encoded again, each sample at its own time."""

    def __init__(self, source: AudioStream, output: OutputContainer, encoder: str) -> None:
        self._decoder = source.codec_context
        rate = _encoder_rate(encoder, source.codec_context.sample_rate)
        layout = LAYOUTS.get(source.codec_context.layout.nb_channels, "stereo")
        stream = output.add_stream(encoder, rate=rate, layout=layout)
        assert isinstance(stream, AudioStream)
        stream.codec_context.bit_rate = (
            TRANSCODED_BIT_RATE * stream.codec_context.layout.nb_channels
        )
        _describe_like(stream, source)
        self._stream = stream

    def feed(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError:
            return
        for frame in frames:
            yield from self._stream.encode(frame)

    def finish(self) -> Iterator[AnyPacket]:
        for frame in self._decoder.decode(None):
            yield from self._stream.encode(frame)
        yield from self._stream.encode(None)


def copy_description(info: VideoInfo, output: OutputContainer, comment: str | None) -> None:
    """Give `output`, and its video, the metadata and chapters of the clip; `comment` joins them."""
    metadata: dict[str, str] = {}
    if info.stream_index is not None:
        with open_container(info.path) as source:
            known = source.metadata.items()
            metadata = {
                key: text
                for key, text in known
                if key.lower() not in _OWN_METADATA
                and (key.lower() != "timecode" or _is_timecode(text, info.fps))
            }
            output.set_chapters(source.chapters())
            _describe_like(output.streams.video[0], source.streams[info.stream_index])
    if comment is not None:
        metadata["comment"] = "\n".join(filter(None, [metadata.get("comment"), comment]))
    output.metadata.update(metadata)


def _is_timecode(text: str, fps: Fraction) -> bool:
    """Return whether a timecode can be written at this frame rate; MP4 and MOV fail otherwise."""
    match, rate = _TIMECODE.fullmatch(text), round(fps)
    return match is not None and 1 <= rate <= 255 and (match[1] == ":" or rate % 30 == 0)


def _describe_like(stream: Stream, source: Stream) -> None:
    """Keep a track's language, title and role."""
    for key in ("language", "title", "handler_name"):
        if key in source.metadata:
            stream.metadata[key] = source.metadata[key]
    copy_disposition(stream, source)


def _encoder_rate(encoder: str, rate: int) -> int:
    """Return the smallest sample rate of `encoder` that loses nothing, or its largest."""
    rates = av.Codec(encoder, "w").audio_rates or [rate]
    return min((known for known in rates if known >= rate), default=max(rates))
