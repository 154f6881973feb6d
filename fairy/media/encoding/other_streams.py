"""Carry over everything in a clip besides its frames: sound, subtitles, fonts, chapters, metadata.

Packets are copied unchanged if the output supports their codec. Other sound is transcoded, and a
warning names what is lost. Tests: tests/media/encoding/test_other_streams.py.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Disposition
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from fairy.media.compat import is_unused
from fairy.media.decoding.clock import AnyPacket, packets_of
from fairy.media.decoding.container import open_container, shown_name
from fairy.media.encoding.codecs import Container
from fairy.media.encoding.tracks import Copied, Track, Transcoded, describe_like
from fairy.media.info import VideoInfo

if TYPE_CHECKING:
    from av.container.core import Chapter

logger = logging.getLogger(__name__)

# The muxer writes these itself, or they apply only to the source's container.
_OWN_METADATA = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
_TIMECODE = re.compile(r"\d{1,2}:\d{1,2}:\d{1,2}([:;.])\d{1,2}")
# Sound whose rate and channels are in the file's header alone, in most containers
_DESCRIBED_ONCE = {"aac", "opus", "vorbis", "flac"}
_HEAD_BYTES = 7
_COVER_TYPES = {"mjpeg": "jpeg", "png": "png"}


class CarriedStreams:
    """Carries over a clip's sound, subtitles and attachments, in step with the written frames.

    Args:
        info: the clip.
        output: the file to add streams to; nothing is written to it yet.
        kind: the output's format.
    """

    def __init__(self, info: VideoInfo, output: OutputContainer, kind: Container) -> None:
        self._path, self._source = info.path, open_container(info.path)
        self._cut_s = info.cut_s
        self._tracks: dict[int, Track] = {}
        for audio in info.audio:
            stream = self._source.streams[audio.index]
            assert isinstance(stream, AudioStream)
            self._keep(stream, output, kind)
        for subtitle in self._source.streams.subtitles:
            self._keep(subtitle, output, kind)
        for attachment in self._source.streams.attachments:
            _attach(attachment, output, kind)
        for video in self._source.streams.video:
            self._keep_picture(video, info, output, kind)
        _say_data(self._source, info)
        self._packets = self._demux()
        self._next: AnyPacket | None = next(self._packets, None)

    def until(self, time_s: Fraction | None) -> Iterator[AnyPacket]:
        """Yield the next packets that start by `time_s` (None: all the rest)."""
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
        """Copy a stream, transcode it or leave it out."""
        # PyAV's stubs say it is never None, but FFmpeg creates none for an unknown codec.
        codec = stream.codec_context.name if stream.codec_context else "unknown"
        where = f"{output.format.name} cannot hold {codec} {stream.type}"
        is_steady = codec not in _DESCRIBED_ONCE or not _changes(self._path, stream.index)
        takes = codec in output.supported_codecs and _takes(kind.muxer, self._path, stream.index)
        if takes and (is_steady or kind.audio_encoder is None):
            self._tracks[stream.index] = Copied(stream, output)
        elif isinstance(stream, AudioStream) and kind.audio_encoder is not None:
            self._tracks[stream.index] = Transcoded(stream, output, kind.audio_encoder)
            if takes:
                where = f"{output.format.name} cannot hold a change of {codec} {stream.type}"
            logger.warning("%s; transcoded to %s", where, kind.audio_encoder.removeprefix("lib"))
        else:
            logger.warning("%s; left out", where)

    def _keep_picture(
        self, stream: VideoStream, info: VideoInfo, output: OutputContainer, kind: Container
    ) -> None:
        """Copy a cover picture; warn about other video streams, which are left out."""
        if stream.index == info.stream_index:
            return
        if not stream.disposition & Disposition.attached_pic:
            if info.programme is None or stream.index in info.programme:
                logger.warning("video stream %d is not edited; left out", stream.index)
            return
        codec = stream.codec_context.name
        if kind.muxer == "mp4" and codec in _COVER_TYPES:
            self._tracks[stream.index] = Copied(stream, output)
        elif kind.muxer == "matroska" and codec in _COVER_TYPES:
            with open_container(info.path) as source:
                packet = next(source.demux(source.streams[stream.index]))
            image = _COVER_TYPES[codec]
            output.add_attachment(f"cover.{image}", f"image/{image}", bytes(packet))
        else:
            logger.warning("%s cannot hold the cover picture; left out", output.format.name)

    def _demux(self) -> Iterator[AnyPacket]:
        kept = [stream for stream in self._source.streams if stream.index in self._tracks]
        if not kept:
            return
        try:
            for packet in packets_of(self._source, kept):
                # The demuxer ends with one empty packet per stream, meant for a decoder.
                if packet.size > 0 and self._is_kept(packet):
                    yield packet
        except av.error.FFmpegError:
            logger.warning("%s: the sound is damaged; cut there", shown_name(self._source))

    def _is_kept(self, packet: AnyPacket) -> bool:
        """Return whether a packet starts in the edited range; if so, subtract the range's start."""
        if self._cut_s is None:
            return True
        (start_s, end_s), at = self._cut_s, packet.pts if packet.pts is not None else packet.dts
        if at is None or not start_s <= at * packet.time_base < end_s:
            return False
        ticks = round(start_s / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.dts = None if packet.dts is None else packet.dts - ticks
        return True


def _say_data(source: InputContainer, info: VideoInfo) -> None:
    """Warn about lost data tracks, such as a phone's sensors; timecodes are written separately."""
    num_data = sum(
        "timecode" not in stream.metadata
        and not is_unused(stream)
        and (info.programme is None or stream.index in info.programme)
        for stream in source.streams.data
    )
    if num_data:
        logger.warning("tracks of data left out: %d", num_data)


def _attach(source: AttachmentStream, output: OutputContainer, kind: Container) -> None:
    """Copy an attached file, such as a font for the subtitles."""
    name = source.name or "unnamed"
    if kind.muxer == "matroska":
        mimetype = source.mimetype or "application/octet-stream"
        output.add_attachment(name, mimetype, source.data)
    else:
        logger.warning("%s cannot hold attached files; %s left out", output.format.name, name)


def _changes(path: Path, index: int) -> bool:
    """Return whether the header of a stream of sound changes in the middle, by its packets."""
    with open_container(path) as source, suppress(av.error.FFmpegError):
        codec = source.streams[index].codec_context
        known = {"brings": codec.extradata} if codec.extradata else {}
        for packet in source.demux(source.streams[index]):
            for kind, header in _headers(packet, codec.name):
                if known.setdefault(kind, header) != header:
                    return True
    return False


def _headers(packet: AnyPacket, codec: str) -> Iterator[tuple[str, bytes]]:
    """Yield what a packet brings or holds of the sound's rate and channels, and which of these."""
    # FLAC's has a checksum, too, but each packet holds what matters
    if packet.has_sidedata("new_extradata") and codec != "flac":
        yield "brings", bytes(packet.get_sidedata("new_extradata"))
    if packet.size < _HEAD_BYTES:
        return
    data = bytes(memoryview(packet)[:_HEAD_BYTES])
    if codec == "flac":
        # Rate, channels and bits (RFC 9639, 9.1); over 7, the channels are ways to store two
        channels = data[3] >> 4
        yield "holds", bytes((data[2] & 0x0F, 1 if channels > 7 else channels, data[3] & 0x0E))
    elif codec == "aac" and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        # Profile, rate and channels of an ADTS header (ISO/IEC 13818-7, 6.2.1)
        yield "holds", bytes((data[2] & 0xFD, data[3] & 0xC0))


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
                trial.start_encoding()
                if packet is not None:
                    packet.stream = copy
                    trial.mux(packet)
        except av.error.FFmpegError:
            return False
    return True


def copy_description(
    info: VideoInfo, output: OutputContainer, comment: str | None, late_s: float = 0.0
) -> None:
    """Copy the clip's metadata and chapters to `output` and its video stream; add `comment`.

    Chapters are moved `late_s` seconds earlier.
    """
    metadata: dict[str, str] = {}
    if info.stream_index is not None:
        with open_container(info.path) as source:
            video = source.streams[info.stream_index]
            # MOV stores the timecode in its own track; FFmpeg lists it under the video stream
            known = {name: video.metadata[name] for name in video.metadata if name == "timecode"}
            known |= source.metadata
            metadata = {
                key: text
                for key, text in known.items()
                if key.lower() not in _OWN_METADATA
                and (key.lower() != "timecode" or _is_timecode(text, info.fps))
            }
            chapters = _within(source.chapters(), info.cut_s)
            output.set_chapters([_earlier(chapter, late_s) for chapter in chapters])
            describe_like(output.streams.video[0], video)
    if comment is not None:
        # Matroska's is upper case
        key = next((key for key in metadata if key.lower() == "comment"), "comment")
        metadata[key] = "\n".join(filter(None, [metadata.get(key), comment]))
    output.metadata.update(metadata)


def say_lost_metadata(info: VideoInfo, out: Path) -> None:
    """Warn about metadata missing from a finished file; each format keeps different fields."""
    if info.stream_index is None:
        return
    with open_container(info.path) as source, open_container(out) as file:
        streams = [dict(stream.metadata) for stream in file.streams]
        kept = {text for each in (dict(file.metadata), *streams) for text in each.values()}
        lost = [
            key
            for key, text in source.metadata.items()
            if key.lower() not in _OWN_METADATA and not any(text in other for other in kept)
        ]
        if lost:
            name = file.format.name.partition(",")[0]
            logger.warning("%s cannot hold metadata: %s left out", name, ", ".join(sorted(lost)))


def _within(chapters: list[Chapter], cut_s: tuple[Fraction, Fraction] | None) -> list[Chapter]:
    """Return the parts of chapters inside the edited range, in times relative to its start."""
    if cut_s is None:
        return chapters
    kept: list[Chapter] = []
    for chapter in chapters:
        base = chapter["time_base"] or Fraction(1)
        first, last = (round(time / base) for time in cut_s)
        start, end = max(chapter["start"], first), min(chapter["end"], last)
        if start < end:
            kept.append({**chapter, "start": start - first, "end": end - first})
    return kept


def _earlier(chapter: Chapter, late_s: float) -> Chapter:
    ticks = round(late_s / (chapter["time_base"] or 1))
    start, end = (max(time - ticks, 0) for time in (chapter["start"], chapter["end"]))
    return {**chapter, "start": start, "end": end}


def _is_timecode(text: str, fps: Fraction) -> bool:
    """Return whether a timecode is valid at this frame rate; MP4 and MOV fail on others."""
    match, rate = _TIMECODE.fullmatch(text), round(fps)
    return match is not None and 1 <= rate <= 255 and (match[1] == ":" or rate % 30 == 0)
