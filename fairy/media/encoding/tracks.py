"""Copy or transcode the packets of a sound or subtitle track.

Tests: tests/media/encoding/test_copied_packets.py, tests/media/encoding/test_transcoded.py,
tests/media/encoding/test_cut_away.py.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Protocol, TypeAlias

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from fairy.media.compat import copy_disposition
from fairy.media.decoding.clock import AnyPacket

logger = logging.getLogger(__name__)

# FFmpeg's AVFMT_TS_NONSTRICT: packets of a stream may share a decoding time.
_TS_NONSTRICT = 0x20000
# Bits per second and channel; no audible loss, according to the encoders' own listening tests.
TRANSCODED_BIT_RATE = 96_000
# Layouts that every encoder here accepts; a file may give only the number of channels.
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
# What a decoder must read before the first audible sample. Opus needs the most, 80 ms (RFC 7845,
# 4.6); AAC needs two packets, which are longer at low sample rates
PRE_ROLL_S, PRE_ROLL_PACKETS = 0.08, 2
# Matroska counts in milliseconds
ROUNDING_S = 1e-3
# Bytes of an Opus header that hold the number of samples to skip
_PRE_SKIP = slice(10, 12)


CopiedStream: TypeAlias = "AudioStream | SubtitleStream | VideoStream"


class Track(Protocol):
    """Turns a source's packets into the output's, possibly with a delay."""

    def feed(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """Take `packet` and yield the packets that are ready."""

    def finish(self) -> Iterator[AnyPacket]:
        """Yield the remaining packets and warn about lost ones."""


class Copied:
    """Copies packets unchanged, with their times in the output's ticks.

    MP4 and MOV allow one packet per tick. If two fall on the same tick, the later one moves to
    the next tick. Packets that an edit list of the source cuts away are left out.
    """

    def __init__(self, source: CopiedStream, output: OutputContainer) -> None:
        self._stream = output.add_stream_from_template(source)
        describe_like(self._stream, source)
        shares_ticks = bool(output.format.flags & _TS_NONSTRICT) or source.type == "subtitle"
        self._least_step = 0 if shares_ticks else 1
        self._next_dts: int | None = None
        self._cuts = _Cuts(source, output)

    def feed(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """Yield the packet, after earlier ones that its decoder needs."""
        for kept in self._cuts.feed(packet):
            self._place(kept)
            yield kept

    def finish(self) -> Iterator[AnyPacket]:
        """Yield nothing: `feed` returns every packet at once."""
        self._cuts.say()
        yield from ()

    def _place(self, packet: AnyPacket) -> None:
        # The muxer set it when it wrote the file's header
        assert self._stream.time_base is not None
        scale = packet.time_base / self._stream.time_base
        times = [time for time in (packet.dts, packet.pts) if time is not None]
        dts = round(times[0] * scale) if times else self._next_dts
        duration = round((packet.duration or 0) * scale)
        if dts is not None:
            dts = dts if self._next_dts is None else max(dts, self._next_dts)
            pts = dts if packet.pts is None else max(round(packet.pts * scale), dts)
            if not duration and self._least_step and self._next_dts is not None:
                # MP4 and MOV hide a last packet without a duration: use the previous one's
                duration = dts + self._least_step - self._next_dts
            packet.pts, packet.dts = pts, dts
            self._next_dts = dts + self._least_step
        packet.duration = duration
        packet.time_base = self._stream.time_base
        packet.stream = self._stream


class _Cuts:
    """Leaves out the packets that an edit list (MP4, MOV) cuts away.

    If the output hides what comes before time 0, a few packets before the first audible one are
    kept for the decoder. If it does not, a packet that is only partly cut away would play in full
    and shift everything to begin with it, so it is left out too.
    """

    def __init__(self, source: CopiedStream, output: OutputContainer) -> None:
        self._has_edits = source.container.format.name.startswith("mov,")
        self._hidden_s = _hidden_s(source, output)
        self._muxer = output.format.name
        self._early: list[AnyPacket] = []
        self._has_begun = False
        self._lost_s = 0.0

    def feed(self, packet: AnyPacket) -> list[AnyPacket]:
        """Return the packets to copy now."""
        if not self._has_edits:
            return [packet]
        if packet.is_discard:
            # After the first audible packet it would play in place of another
            if not self._has_begun:
                self._early.append(packet)
            return []
        if not self._has_begun and _start_s(packet) < -self._hidden_s:
            self._lost_s += max(_end_s(packet), 0)
            return []
        needed = [*self._pre_roll(_start_s(packet)), packet]
        self._early.clear()
        self._has_begun = True
        return needed

    def say(self) -> None:
        """Warn about sound that is left out although the edit list keeps it."""
        if self._lost_s:
            logger.warning(
                "the first %.0f ms of sound are left out: %s cannot hide a part of a packet",
                1000 * self._lost_s, self._muxer,
            )  # fmt: skip

    def _pre_roll(self, first_s: float) -> list[AnyPacket]:
        """Return the packets that decoding from `first_s` needs, if the output hides them."""
        return [
            packet
            for place, packet in enumerate(self._early, start=-len(self._early))
            if (place >= -PRE_ROLL_PACKETS or first_s - _start_s(packet) <= PRE_ROLL_S)
            and _start_s(packet) >= -self._hidden_s
            and _end_s(packet) <= ROUNDING_S
        ]


def _hidden_s(source: CopiedStream, output: OutputContainer) -> float:
    """Return how many seconds before time 0 the output can store without playing them."""
    if output.format.name in ("mp4", "mov"):
        return math.inf
    header = source.codec_context.extradata or b""
    if source.codec_context.name == "opus" and len(header) >= _PRE_SKIP.stop:
        # Matroska's CodecDelay is Opus's pre-skip (RFC 7845, 5.1), in samples at 48 kHz
        return int.from_bytes(header[_PRE_SKIP], "little") / 48_000 + ROUNDING_S
    return ROUNDING_S


def _start_s(packet: AnyPacket) -> float:
    return 0.0 if packet.pts is None else float(packet.pts * packet.time_base)


def _end_s(packet: AnyPacket) -> float:
    return _start_s(packet) + float((packet.duration or 0) * packet.time_base)


Kind = tuple[str, int, int]
"""What an audio frame is: sample format, channels, samples per second."""


class Transcoded:
    """Decodes sound and encodes it again, each sample at its own time.

    The encoder gets the same format from first to last, even if the source's format changes.
    """

    def __init__(self, source: AudioStream, output: OutputContainer, encoder: str) -> None:
        self._decoder = source.codec_context
        rate = _encoder_rate(encoder, self._decoder.sample_rate)
        num_channels = self._decoder.layout.nb_channels
        stream = output.add_stream(encoder, rate=rate, layout=LAYOUTS.get(num_channels, "7.1"))
        assert isinstance(stream, AudioStream)
        if num_channels not in LAYOUTS:
            logger.warning("%d channels of sound become 8", num_channels)
        stream.codec_context.bit_rate = (
            TRANSCODED_BIT_RATE * stream.codec_context.layout.nb_channels
        )
        stream.codec_context.time_base = Fraction(1, rate)
        describe_like(stream, source)
        self._stream, self._codec = stream, stream.codec_context
        self._resampler: av.AudioResampler | None = None
        self._kind: Kind | None = None
        self._num_refused = 0

    def feed(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """Decode `packet` and yield the packets that the encoder has ready."""
        try:
            frames = self._decoder.decode(packet)
        except av.error.FFmpegError:
            self._num_refused += 1
            return
        yield from self._encode(frames)

    def finish(self) -> Iterator[AnyPacket]:
        """Yield the remaining packets of the decoder and the encoder."""
        with suppress(av.error.FFmpegError):
            yield from self._encode(self._decoder.decode(None))
        yield from self._rest()
        yield from self._stream.encode(None)
        if self._num_refused:
            logger.warning(
                "packets of sound that cannot be decoded, left out: %d", self._num_refused
            )

    def _encode(self, frames: Sequence[AudioFrame]) -> Iterator[AnyPacket]:
        for frame in frames:
            if self._resampler is None or self._kind != _kind(frame):
                yield from self._change_to(_kind(frame))
            assert self._resampler is not None
            yield from self._pass_on(self._resampler.resample(frame))

    def _pass_on(self, frames: Sequence[AudioFrame]) -> Iterator[AnyPacket]:
        """Encode frames of the encoder's format, in its ticks.

        The resampler gives frames as they are where only their times are in other ticks.
        """
        rate = self._codec.sample_rate
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None:
                frame.pts = round(frame.pts * frame.time_base * rate)
            frame.time_base = Fraction(1, rate)
            yield from self._stream.encode(frame)

    def _rest(self) -> Iterator[AnyPacket]:
        """Encode what the resampler still holds."""
        if self._resampler is not None:
            yield from self._pass_on(self._resampler.resample(None))

    def _change_to(self, kind: Kind) -> Iterator[AnyPacket]:
        """Yield the rest of the old format and create a resampler for the new one."""
        if self._resampler is not None and self._kind is not None:
            logger.warning(
                "the sound changes from %s to %s; written as %d channels, %d Hz throughout",
                _in_words(self._kind), _in_words(kind), self._codec.layout.nb_channels,
                self._codec.sample_rate,
            )  # fmt: skip
            yield from self._rest()
        self._kind = kind
        self._resampler = av.AudioResampler(
            self._codec.format, self._codec.layout, self._codec.sample_rate
        )


def _kind(frame: AudioFrame) -> Kind:
    return frame.format.name, frame.layout.nb_channels, frame.sample_rate


def _in_words(kind: Kind) -> str:
    return f"{kind[1]} channels, {kind[2]} Hz"


def describe_like(stream: Stream, source: Stream) -> None:
    """Copy a track's language, title and role."""
    for key in ("language", "title", "handler_name"):
        if key in source.metadata:
            stream.metadata[key] = source.metadata[key]
    copy_disposition(stream, source)


def _encoder_rate(encoder: str, rate: int) -> int:
    """Return the lowest sample rate of `encoder` that is at least `rate`, or its highest."""
    rates = av.Codec(encoder, "w").audio_rates or [rate]
    return min((known for known in rates if known >= rate), default=max(rates))
