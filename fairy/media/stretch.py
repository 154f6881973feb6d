"""Select the stretch of a clip to edit, by time or by number of frames.

Tests: tests/media/test_stretch.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from fairy.errors import SettingsError
from fairy.media.decoding.container import open_video
from fairy.media.decoding.decode import Pictures, readable_packets
from fairy.media.decoding.index import frame_index
from fairy.settings import MediaConfig

MICROSECONDS = 10**6

Times = Sequence[tuple[int, int]]
"""(pts, duration) of each frame, in ticks."""


def is_whole(media: MediaConfig) -> bool:
    """Return whether the settings select the whole clip."""
    return media.start_s is None and media.end_s is None and media.max_frames is None


def chosen(times: Times, time_base: Fraction, media: MediaConfig) -> range:
    """Return the numbers of the frames to edit; times in `media` count from the first frame.

    Raises:
        SettingsError: the settings select no frame.
    """
    if is_whole(media):
        return range(len(times))
    shown_s = [(pts - times[0][0]) * time_base for pts, _ in times]
    # Read 0.2 as exactly 1/5, not as the nearest float
    start_s = Fraction(media.start_s or 0).limit_denominator(MICROSECONDS)
    end_s = None if media.end_s is None else Fraction(media.end_s).limit_denominator(MICROSECONDS)
    first = next((n for n, time in enumerate(shown_s) if time >= start_s), None)
    if first is None:
        last_s = float(sum(times[-1]) - times[0][0]) * float(time_base)
        raise SettingsError(f"start_s is {float(start_s):g}: the clip lasts {last_s:.2f} s")
    stop = len(times)
    if end_s is not None:
        stop = next((n for n, time in enumerate(shown_s) if time >= end_s), stop)
        if stop <= first:
            raise SettingsError(
                f"end_s is {float(end_s):g}: no frame is shown between {float(start_s):g} and "
                f"{float(end_s):g} s"
            )
    return range(first, stop if media.max_frames is None else min(stop, first + media.max_frames))


def span(times: Times, numbers: range, time_base: Fraction) -> tuple[Fraction, Fraction]:
    """Return when the frames `numbers` begin and end, in seconds of the file."""
    end = sum(times[-1]) if numbers.stop == len(times) else times[numbers.stop][0]
    return times[numbers.start][0] * time_base, end * time_base


def frame_range(path: Path, media: MediaConfig) -> range | None:
    """Return which frames of the file at `path` to edit; None for all."""
    if is_whole(media):
        return None
    stat = path.stat()
    times, time_base = _times(path, media.video_stream, stat.st_size, stat.st_mtime_ns)
    return chosen(times, time_base, media)


def start_of(path: Path, numbers: range, media: MediaConfig) -> int:
    """Return when the first of the frames `numbers` is shown, in ticks of the stream."""
    stat = path.stat()
    times, _ = _times(path, media.video_stream, stat.st_size, stat.st_mtime_ns)
    return times[numbers.start][0]


@lru_cache(maxsize=1)
def _times(
    path: Path, stream_index: int | None, size_bytes: int, modified_ns: int
) -> tuple[Times, Fraction]:
    """Return the times of all frames; decodes the clip if there is no frame index."""
    index = frame_index(path, stream_index)
    with open_video(path, stream_index) as (container, stream):
        assert stream.time_base is not None
        if index is not None:
            return index.times, stream.time_base
        pictures = Pictures(stream, readable_packets(container, stream))
        return [(one.pts, one.duration) for one in pictures], stream.time_base
