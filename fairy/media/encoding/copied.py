"""Copy an H.264 stream's packets beside newly encoded frames (a "smart cut").

A stretch of frames can be copied from an IDR picture on, as decoding can start there, up to any
frame at which as many packets are stored as frames are shown. The result then has two encoders'
parameter sets in its header; the new encoder's have an id of their own. Packets and times stay as
they are. Tests: tests/media/encoding/test_copied.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, takewhile
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from fairy.errors import MediaError
from fairy.media.colours import SMPTE170M, UNSPECIFIED, output_tags
from fairy.media.decoding.clock import AnyPacket
from fairy.media.decoding.container import open_video
from fairy.media.decoding.decode import is_shown, readable_packets
from fairy.media.decoding.index import FrameIndex, frame_index
from fairy.media.encoding.codecs import Encoding
from fairy.media.encoding.encode import VideoEncoder, VideoPacket, output_time_base
from fairy.media.encoding.segments import make_packet
from fairy.media.h264 import (
    DELIMITER,
    FILLER,
    IDR,
    LENGTH_BYTES,
    PPS,
    SEI,
    SLICE,
    SPS,
    ParameterSets,
    SequenceSet,
    kind_of,
    prefixed,
    prefixed_units,
)
from fairy.media.info import VideoInfo
from fairy.settings import MediaConfig

_PLAIN = {SLICE, IDR, SEI, DELIMITER, FILLER}
# H.273 has two numbers for the matrix of BT.601
_BT470BG = 5


@dataclass(frozen=True)
class Span:
    """Consecutive frames that are copied.

    Attributes:
        first: number of the first frame.
        start: number of the first packet in the file.
        pts: when the packets are shown, in decoding order, in ticks of the source.
    """

    first: int
    start: int
    pts: tuple[int, ...]

    @property
    def end(self) -> int:
        """Number of the frame after the last."""
        return self.first + len(self.pts)


@dataclass(frozen=True, kw_only=True)
class CopiedFrames:
    """Frames whose packets go into a result as they are.

    Attributes:
        path: the source.
        video_stream: index of its video stream; None for the best.
        spans: the frames, in order.
        headers: the source's parameter sets, labelled as the result's other frames are.
        length_bytes: how many bytes the lengths in the source's packets have.
        encoder_params: what x264 has to be told beside its other settings.
        ticks: ticks of the result in a tick of the source.
        time_base: seconds per tick of the result.
    """

    path: Path
    video_stream: int | None
    spans: tuple[Span, ...]
    headers: ParameterSets
    length_bytes: int
    encoder_params: str
    ticks: Fraction
    time_base: Fraction

    @property
    def num_frames(self) -> int:
        """How many frames are copied."""
        return sum(len(span.pts) for span in self.spans)

    @property
    def pieces(self) -> dict[tuple[int, int], CopiedPiece]:
        """The frames as pieces of the result, by first frame and frame after the last."""
        return {(span.first, span.end): CopiedPiece(self, span) for span in self.spans}

    def beside(self, encoding: Encoding) -> Encoding:
        """Return the encoding of a file that also holds these frames."""
        return replace(_with_params(encoding, self.encoder_params), others=self.headers)


@dataclass(frozen=True)
class CopiedPiece:
    """One span of copied frames, as `fairy.media.encoding.segments.Piece`."""

    copied: CopiedFrames
    span: Span

    def times(self) -> list[int]:
        """Return the pts of its packets, in decoding order."""
        return [round(pts * self.copied.ticks) for pts in self.span.pts]

    def packets(self) -> Iterator[VideoPacket]:
        """Yield its packets in decoding order."""
        copied, start = self.copied, self.span.start
        with open_video(copied.path, copied.video_stream) as (container, stream):
            own = islice(_stored(container, stream), start, start + len(self.span.pts))
            for packet, pts in zip(own, self.times(), strict=True):
                data = bytes(packet)
                if copied.length_bytes != LENGTH_BYTES:
                    data = prefixed(prefixed_units(data, copied.length_bytes))
                duration = round((packet.duration or 0) * copied.ticks)
                yield make_packet(data, copied.time_base, pts, duration, packet.is_keyframe)


def find_copied(
    info: VideoInfo, encoding: Encoding, media: MediaConfig, wanted: Sequence[range]
) -> CopiedFrames | None:
    """Return which frames among `wanted`, ranges of frames, can be copied; None if none can.

    They must be stored as `encoding` stores the others: H.264 of the same size, pixel format and
    colours, and the source's pictures must be shown as they are stored.

    Args:
        info: the source, whose frames keep their size.
        encoding: the result's.
        media: how the source is read.
        wanted: the frames to copy.
    """
    index = frame_index(info.path, media.video_stream) if _is_alike(info, encoding) else None
    if index is None:
        return None
    with open_video(info.path, media.video_stream) as (container, stream):
        try:
            source = _Source.of(stream, info, encoding)
        except (MediaError, av.error.FFmpegError):
            # The encoder's own error is reported when it is tried
            return None
        if source is None:
            return None
        found = (_row(packet, index, source) for packet in _stored(container, stream))
        rows = list(takewhile(lambda row: row.has_first_header, found))
    spans = tuple(span for frames in wanted if (span := _span(rows, frames)) is not None)
    if not spans or not source.keeps_order(rows):
        return None
    time_base = output_time_base(encoding, info)
    return CopiedFrames(
        path=info.path,
        video_stream=media.video_stream,
        spans=spans,
        headers=source.headers,
        length_bytes=source.length_bytes,
        encoder_params=source.encoder_params(rows),
        ticks=info.time_base / time_base,
        time_base=time_base,
    )


@dataclass(frozen=True)
class _Source:
    """A stream whose packets can be in a file with an encoder's, as far as its header says.

    Attributes:
        headers: its parameter sets, labelled as the encoder's.
        length_bytes: how many bytes the lengths in its packets have.
        encoder_id: an id that none of its sets has.
        model: the encoder's sequence set.
    """

    headers: ParameterSets
    length_bytes: int
    encoder_id: int
    model: SequenceSet

    @classmethod
    def of(cls, stream: VideoStream, info: VideoInfo, encoding: Encoding) -> _Source | None:
        """Return what a stream's header says; None if the encoder's pictures differ.

        Raises:
            MediaError: its header has another form, or is damaged.
        """
        headers, length_bytes = ParameterSets.of_record(stream.codec_context.extradata or b"")
        encoder_id = headers.free_id()
        if encoder_id is None or not headers.sps:
            return None
        model = _encoder_set(_with_params(encoding, _id_param(encoder_id)), info)
        own = [SequenceSet.of(unit) for unit in headers.sps]
        if not all(_is_stored_alike(one, model) for one in own):
            return None
        if not _are_colours_alike(stream, own, info, encoding):
            return None
        return cls(headers.labelled_like(model.unit), length_bytes, encoder_id, model)

    def keeps_order(self, rows: Sequence[_Row]) -> bool:
        """Return whether a decoder knows, from either header, how many pictures to hold back.

        Else it finds out too late, and drops a picture (FFmpeg).
        """
        return _delay(rows) <= max(self._num_reorder(rows), self.model.num_reorder_frames or 0)

    def encoder_params(self, rows: Sequence[_Row]) -> str:
        """Return what x264 has to be told beside its other settings.

        If decoders hold no picture back, it must stay so: FFmpeg 8.1 drops pictures where the
        number grows from 0.
        """
        return _id_param(self.encoder_id) + (":bframes=0" if not self._num_reorder(rows) else "")

    def _num_reorder(self, rows: Sequence[_Row]) -> int:
        """Return how many pictures a decoder holds back: by the header, else as it sees."""
        said = [SequenceSet.of(unit).num_reorder_frames for unit in self.headers.sps]
        return min(_delay(rows) if count is None else count for count in said)


def _delay(rows: Sequence[_Row]) -> int:
    """Return by how many pictures the order of storing differs from that of showing."""
    numbers = [row.number for row in rows if row.number is not None]
    return max((place - number for place, number in enumerate(numbers)), default=0)


@dataclass(frozen=True)
class _Row:
    """A packet: its time, its frame's number if it is shown, and whether decoding can start there.

    It is plain if it can be copied: it holds a shown picture and needs no other header. Another
    one, from MP4 or in the packet itself, may hold for all that follow.
    """

    pts: int
    number: int | None
    is_idr: bool
    is_plain: bool
    has_first_header: bool


def _row(packet: AnyPacket, index: FrameIndex, source: _Source) -> _Row:
    number = None
    if is_shown(packet) and packet.pts is not None:
        number = index.number_of(packet.pts)
    try:
        units = prefixed_units(bytes(packet), source.length_bytes)
    except MediaError:
        units = []
    known = (*source.headers.sps, *source.headers.pps)
    others = {kind_of(unit) for unit in units if unit not in known}
    return _Row(
        packet.pts or 0,
        number,
        any(kind_of(unit) == IDR for unit in units),
        others <= _PLAIN and number is not None and len(units) > 0 and not packet.is_corrupt,
        others.isdisjoint({SPS, PPS}) and not packet.has_sidedata("new_extradata"),
    )


def _span(rows: Sequence[_Row], frames: range) -> Span | None:
    """Return the longest span within `frames` from the first IDR picture there, if there is one."""
    cuts = _cuts(rows)
    starts = (
        place
        for place, row in enumerate(rows)
        if cuts.get(place) in frames and row.is_idr and row.is_plain
    )
    start = next(starts, None)
    if start is None:
        return None
    stop = start
    for place in range(start, len(rows)):
        if not rows[place].is_plain:
            break
        if cuts.get(place + 1, sys.maxsize) <= frames.stop:
            stop = place + 1
    pts = tuple(row.pts for row in rows[start:stop])
    return Span(cuts[start], start, pts) if pts else None


def _cuts(rows: Sequence[_Row]) -> dict[int, int]:
    """Return the packets before which the stream can be cut, and how many frames are before.

    The packets before a cut hold exactly the clip's first frames.
    """
    cuts, count, highest = {0: 0}, 0, -1
    for place, row in enumerate(rows):
        if row.number is not None:
            count, highest = count + 1, max(highest, row.number)
        if highest + 1 == count:
            cuts[place + 1] = count
    return cuts


def _stored(container: InputContainer, stream: VideoStream) -> Iterator[AnyPacket]:
    return (packet for packet in readable_packets(container, stream) if packet.size > 0)


def _is_alike(info: VideoInfo, encoding: Encoding) -> bool:
    """Return whether the source's pictures are stored as they are shown, and as the result's."""
    size = info.height, info.width
    padding = encoding.padding
    return (
        (info.codec, encoding.codec.encoder) == ("h264", "libx264")
        and info.pix_fmt == encoding.pix_fmt
        and size == (info.coded_height, info.coded_width)
        and (size[0] % padding[0], size[1] % padding[1]) == (0, 0)
        and info.rotation == 0
        and not info.mirrored
        and not info.colours.full_range
        and info.cut_s is None
        # Reading converts something, or leaves it out
        and not info.notes
    )


def _is_stored_alike(one: SequenceSet, model: SequenceSet) -> bool:
    # Where lossless pictures follow others, FFmpeg 8.1 decodes garbage
    stored, wanted = (
        (each.size_mbs, each.chroma_format, each.depths, each.is_progressive, each.has_lossless)
        for each in (one, model)
    )
    return stored == wanted


def _are_colours_alike(
    stream: VideoStream, sets: Sequence[SequenceSet], info: VideoInfo, encoding: Encoding
) -> bool:
    """Return whether the source's colour tags are the result's, or are missing."""
    tags, codec = output_tags(info.colours, encoding.pix_fmt), stream.codec_context
    wanted = (tags.primaries, tags.transfer, tags.matrix)
    of_file = (int(codec.color_primaries), int(codec.color_trc), int(codec.colorspace))
    return not any(one.full_range for one in sets) and all(
        said in (UNSPECIFIED, tag) or (number == 2 and (said, tag) == (_BT470BG, SMPTE170M))
        for said_by in (of_file, *(one.colours for one in sets if one.colours is not None))
        for number, (said, tag) in enumerate(zip(said_by, wanted, strict=True))
    )


def _encoder_set(encoding: Encoding, info: VideoInfo) -> SequenceSet:
    """Return the encoder's sequence set."""
    encoder = VideoEncoder(Path(os.devnull), encoding, info, info.height, info.width, tracks=False)
    try:
        return SequenceSet.of(ParameterSets.of_annexb(encoder.header()).sps[0])
    finally:
        encoder.abandon()


def _with_params(encoding: Encoding, params: str) -> Encoding:
    """Return the encoding with further parameters of x264."""
    known = encoding.options.get("x264-params")
    joined = params if known is None else f"{known}:{params}"
    return replace(encoding, options=encoding.options | {"x264-params": joined})


def _id_param(number: int) -> str:
    """Return the parameter that gives x264's sets an id."""
    return f"sps-id={number}"
