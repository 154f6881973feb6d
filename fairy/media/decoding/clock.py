"""Packets of a recording, their times going on where its clock starts again.

Transport and program streams (.ts, .vob) that are joined, or go on after a break, go back in time
in the middle. All tracks are shifted by the same from there on, so that they stay in step.
Tests: tests/media/decoding/test_clock.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TypeAlias

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

AnyPacket: TypeAlias = "Packet[Stream]"

_RECORDINGS = ("mpegts", "mpeg")
# Decoding times never go back within a recording; half a second is more than any rounding.
MAX_BACK_S = Fraction(1, 2)


def packets_of(container: InputContainer, streams: Sequence[Stream]) -> Iterator[AnyPacket]:
    """Yield the packets of `streams` in the file's order, and FFmpeg's empty ones at the end."""
    if container.format.name not in _RECORDINGS:
        yield from container.demux(streams)
        return
    # Every reader of the file asks all its tracks for the time, and so finds the same shifts
    tracks = {track.index: track for track in (*container.streams.video, *container.streams.audio)}
    wanted = {stream.index: stream for stream in streams}
    clock = _Clock()
    for packet in container.demux(list((tracks | wanted).values())):
        clock.set(packet)
        if packet.stream_index in wanted:
            yield packet


class _Clock:
    """Shifts packets, given in the file's order, that go back in time."""

    def __init__(self) -> None:
        self._shift = Fraction(0)
        self._shifts: dict[int, Fraction] = {}
        self._ends: dict[int, Fraction] = {}

    def set(self, packet: AnyPacket) -> None:
        """Set the packet's times."""
        if packet.dts is None or packet.pts is None:
            return
        index, time_s = packet.stream_index, packet.dts * packet.time_base
        end_s = self._ends.get(index)
        if end_s is not None and time_s + self._shifts[index] < end_s - MAX_BACK_S:
            # The first track that goes back decides for all
            if time_s + self._shift < end_s - MAX_BACK_S:
                self._shift = end_s - time_s
            self._shifts[index] = self._shift
        ticks = round(self._shifts.setdefault(index, self._shift) / packet.time_base)
        packet.dts, packet.pts = packet.dts + ticks, packet.pts + ticks
        self._ends[index] = (packet.dts + (packet.duration or 0)) * packet.time_base
