"""Put a file's packets on one continuous clock, even if its timestamps jump or start anywhere.

In recordings (.ts, .vob, .flv) that were joined or interrupted, timestamps can jump back, or
forward by hours. From each jump on, all streams are shifted by the same amount, so that they stay
in sync and none overlaps its earlier part. A recording's clock often counts from when the recorder
was switched on, so it is also shifted to start at 0. Tests: tests/media/decoding/test_clock.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from fairy.media.compat import demux, late_streams
from fairy.media.decoding.container import open_container, shown_name
from fairy.media.decoding.programmes import programmes

AnyPacket: TypeAlias = "Packet[Stream]"

# These use the recorder's clock: it may start anywhere, and a jump is a break in the recording
_RECORDINGS = ("mpegts", "mpeg", "flv", "asf")
# Times in these come from tables of durations, so they cannot jump
_STEADY = ("mov,", "avi", "gif", "image2")
# Decoding times never go back; this tolerance is larger than any rounding error.
MAX_BACK_S = 0.05
# Matroska has no decoding times. There a picture that is no key frame may be shown before pictures
# that are stored before it, but at most a few pictures before the last key frame
_WITHOUT_DTS = "matroska,"
MAX_LEADING_S = 5.0
# FFmpeg's own limit (dts_delta_threshold) for recordings
MAX_FORWARD_S = 10.0
# Elsewhere a picture may be shown for a long time, but a clip with sound does not pause for an hour
MAX_PAUSE_S = 3600.0


def packets_of(container: InputContainer, streams: Sequence[Stream]) -> Iterator[AnyPacket]:
    """Yield the packets of `streams` in file order, then FFmpeg's empty flush packets."""
    clock = clock_of(container)
    if clock.is_steady:
        yield from demux(container, streams)
        return
    wanted = {stream.index: stream for stream in streams}
    deciding = {index: container.streams[index] for index in clock.shifts_s}
    counts = dict.fromkeys(deciding, 0)
    shift_s, decoding_time = 0.0, _decoding_times(container)
    for packet in demux(container, (deciding | wanted).values()):
        # The flush packets have a stream, but no stream index of their own
        index = packet.stream.index
        # Other streams, such as subtitles, get the shift of the packet before
        if index in counts:
            shift_s = clock.shift_s(index, counts[index])
            counts[index] += 1
        ticks, dts = round(shift_s / packet.time_base), decoding_time(packet)
        packet.dts = None if dts is None else dts + ticks
        packet.pts = None if packet.pts is None else packet.pts + ticks
        if index in wanted:
            yield packet


@dataclass(frozen=True)
class Clock:
    """The time shifts for the packets of a file.

    Attributes:
        shifts_s: maps each video and audio stream's index to pairs, in order: the number of the
            first packet that a shift applies to, and the shift in seconds.
        starts: when a video stream begins, in its ticks, if its first packets have no times.
        late_streams: kind and codec of streams that begin in the middle of the file.
    """

    shifts_s: dict[int, tuple[tuple[int, float], ...]]
    starts: dict[int, int] = field(default_factory=dict)
    late_streams: tuple[str, ...] = ()

    @property
    def is_steady(self) -> bool:
        """Whether all packets keep their times."""
        return all(shift_s == 0 for parts in self.shifts_s.values() for _, shift_s in parts)

    def shift_s(self, index: int, number: int) -> float:
        """Return the shift in seconds of packet `number` of the stream `index`."""
        return [shift_s for first, shift_s in self.shifts_s[index] if first <= number][-1]


def clock_of(container: InputContainer) -> Clock:
    """Return the clock of an open file; cached until the file changes."""
    if container.format.name.startswith(_STEADY):
        return Clock({})
    path = Path(shown_name(container))
    stat = path.stat()
    return _clock(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=4)
def _clock(path: Path, size_bytes: int, modified_ns: int, noted_ns: int) -> Clock:
    with open_container(path) as container:
        streams = (*container.streams.video, *container.streams.audio)
        is_recording = container.format.name in _RECORDINGS
        has_sound = len(container.streams.audio) > 0
        max_forward = MAX_FORWARD_S if is_recording else MAX_PAUSE_S if has_sound else float("inf")
        # Each programme has its own clock
        groups = programmes(container, path) or [{stream.index for stream in streams}]
        time_of = _decoding_times(container)
        trackers = [(group, _Tracker(max_forward, time_of)) for group in groups]
        leads = {stream.index: _Lead() for stream in container.streams.video}
        try:
            for packet in demux(container, streams):
                if packet.stream_index in leads and packet.size > 0:
                    leads[packet.stream_index].add(packet)
                for group, tracker in trackers:
                    if packet.stream_index in group:
                        tracker.add(packet)
        except av.error.FFmpegError:
            # The code that reads the packets reports this error
            pass
        late = late_streams(container)
        shifts: dict[int, tuple[tuple[int, float], ...]] = {
            stream.index: ((0, 0.0),) for stream in streams
        }
    for _, tracker in trackers:
        shifts |= _shifts(tracker, is_recording)
    starts = {}
    if time_of is _presentation_time:
        starts = {index: lead.start for index, lead in leads.items() if lead.start is not None}
    return Clock(shifts, starts, tuple(late))


@dataclass
class _Lead:
    """Adds up packets of a video stream without a time: in Matroska, FFmpeg drops those below 0.

    Attributes:
        ticks: how long they last together.
        earliest: the first time that is known, in ticks.
    """

    ticks: int = 0
    earliest: int | None = None

    def add(self, packet: AnyPacket) -> None:
        """Add the next packet."""
        if packet.pts is None and packet.dts is None:
            self.ticks += packet.duration or 0
        elif packet.pts is not None:
            self.earliest = packet.pts if self.earliest is None else min(self.earliest, packet.pts)

    @property
    def start(self) -> int | None:
        """When the stream begins; None if all packets have times, or none has one."""
        return self.earliest - self.ticks if self.ticks and self.earliest is not None else None


def _shifts(tracker: _Tracker, is_recording: bool) -> dict[int, tuple[tuple[int, float], ...]]:
    """Return each stream's (first packet number, shift in seconds) pairs."""
    parts = tracker.parts
    shift_s = -parts[0].shown_s if is_recording and parts[0].starts else 0.0
    shifts = [shift_s]
    for before, after in pairwise(parts):
        both = before.ends.keys() & after.starts.keys()
        # Shift enough that no stream overlaps its earlier part
        shift_s += max(
            (before.ends[index] - after.starts[index] for index in both),
            default=max(before.ends.values()) - min(after.starts.values()),
        )
        shifts.append(shift_s)
    # Packets before a stream's first known time get the same shift
    return {
        index: tuple(
            (number if place else 0, shifts[part]) for place, (number, part) in enumerate(runs)
        )
        for index, runs in tracker.runs.items()
    }


@dataclass
class _Part:
    """A stretch between two jumps.

    Attributes:
        starts, latest, ends: for each stream, its earliest and latest decoding times, and its
            latest end.
        keys: for each stream, the decoding time of its last key frame.
        shown_s: the earliest time at which something is shown or heard.
    """

    starts: dict[int, float] = field(default_factory=dict)
    latest: dict[int, float] = field(default_factory=dict)
    ends: dict[int, float] = field(default_factory=dict)
    keys: dict[int, float] = field(default_factory=dict)
    shown_s: float = float("inf")

    def add(self, packet: AnyPacket, start: float) -> None:
        """Add a packet with its decoding time in seconds."""
        index = packet.stream_index
        shown = start if packet.pts is None else float(packet.pts * packet.time_base)
        # Unknown durations: assume the packet lasts as long as the one before
        step = start - self.latest.get(index, start)
        end = start + (float((packet.duration or 0) * packet.time_base) or step)
        self.starts[index] = min(self.starts.get(index, start), start)
        self.latest[index] = max(self.latest.get(index, start), start)
        self.ends[index] = max(self.ends.get(index, end), end)
        self.shown_s = min(self.shown_s, shown)
        if packet.is_keyframe or index not in self.keys:
            self.keys[index] = start

    def fits(self, index: int, time_s: float, max_forward: float, *, may_lead: bool) -> bool:
        """Return whether a stream's packet at this time can belong to this part.

        `may_lead`: it may be shown before packets that are stored before it.
        """
        if time_s > max(self.ends.values()) + max_forward:
            return False
        earliest = self.latest.get(index, min(self.starts.values()) - MAX_FORWARD_S)
        if may_lead:
            return time_s >= self.keys.get(index, earliest) - MAX_LEADING_S
        return time_s >= earliest - MAX_BACK_S


class _Tracker:
    """Splits the packets of one clock, added in file order, into `parts`.

    Attributes:
        parts: the stretches between jumps.
        runs: for each stream, pairs in order: the number of a packet, and the index of the part
            that it and the following ones belong to.
    """

    def __init__(self, max_forward: float, time_of: DecodingTime) -> None:
        self._max_forward, self._time_of = max_forward, time_of
        self._counts: dict[int, int] = {}
        self.parts = [_Part()]
        self.runs: dict[int, list[tuple[int, int]]] = {}

    def add(self, packet: AnyPacket) -> None:
        """Add the next packet."""
        index, parts = packet.stream_index, self.parts
        number = self._counts.get(index, 0)
        self._counts[index] = number + 1
        dts = self._time_of(packet)
        if dts is None:
            return
        runs = self.runs.setdefault(index, [])
        time_s = float(dts * packet.time_base)
        before = place = runs[-1][1] if runs else len(parts) - 1
        if parts[place].ends:
            place = self._place(place, packet, time_s)
        if place == len(parts):
            parts.append(_Part())
        if place != before or not runs:
            runs.append((number, place))
        parts[place].add(packet, time_s)

    def _place(self, now: int, packet: AnyPacket, time_s: float) -> int:
        """Return the index of a packet's part: its stream's, the newest, or a new one."""
        newest, index = len(self.parts) - 1, packet.stream_index
        may_lead = self._time_of is _presentation_time and not packet.is_keyframe

        def fits(part: int) -> bool:
            return self.parts[part].fits(index, time_s, self._max_forward, may_lead=may_lead)

        stays = fits(now)
        if now == newest or not fits(newest):
            if not stays and may_lead and now > 0 and fits(now - 1):
                # It is shown before a pause, and stored after a picture that follows the pause
                return now - 1
            return now if stays else newest + 1
        # It can be the end of one part or the start of the next: choose the nearer one
        start, end = (
            min(self.parts[newest].starts.values()),
            self.parts[now].ends.get(index, time_s),
        )
        return newest if not stays or abs(time_s - start) < abs(time_s - end) else now


DecodingTime: TypeAlias = "Callable[[AnyPacket], int | None]"


def _decoding_times(container: InputContainer) -> DecodingTime:
    """Return the function that gives a packet's decoding time, in ticks of its stream."""
    is_guessed = container.format.name.startswith(_WITHOUT_DTS)
    return _presentation_time if is_guessed else _decoding_time


def _presentation_time(packet: AnyPacket) -> int | None:
    """Return the packet's pts: FFmpeg's dts is a guess that is wrong around a pause."""
    return packet.pts


def _decoding_time(packet: AnyPacket) -> int | None:
    """Return the packet's dts, or its pts where FFmpeg extrapolated the dts across a jump."""
    if packet.dts is None or packet.pts is None:
        return packet.dts
    is_close = 0 <= (packet.pts - packet.dts) * packet.time_base <= MAX_FORWARD_S
    return packet.dts if is_close else packet.pts
