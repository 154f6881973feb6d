"""Times in a clip as people write them: `4s`, `1:30`, `50%`, or a bare number, which is a frame.

Tests: tests/control/test_times.py.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from fractions import Fraction

from fairy.errors import SettingsError
from fairy.media.info import VideoInfo
from fairy.media.read import frame_times

FORM = "a frame (100), seconds (4.5s), minutes (1:30) or a part of the clip (50%)"
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"


def frame_of(text: str, clip: VideoInfo, option: str) -> int:
    """Return the number of the first frame at or after a time; the clip's length for its end.

    Args:
        text: the time; seconds count from the clip's first frame.
        clip: the clip.
        option: where the time comes from, for messages.

    Raises:
        SettingsError: it is no time, or not in the clip.
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d+", text):
        return _within(int(text), text, option, clip)
    if match := re.fullmatch(rf"{_NUMBER}\s*%", text):
        share = Fraction(match[1]) / 100
        number = round(share * clip.num_frames) if share <= 1 else clip.num_frames + 1
        return _within(number, text, option, clip)
    seconds = _seconds(text)
    if seconds is None:
        raise SettingsError(f"{option} {text!r}: give {FORM}")
    times = frame_times(clip.path, clip.stream_index)
    if seconds > Fraction(clip.duration_s).limit_denominator(10**6):
        return _within(clip.num_frames + 1, text, option, clip)
    # Files round their times, to a millisecond at worst
    return bisect_left(times, times[0] + seconds - Fraction(1, 1000))


def frames_in(text: str, clip: VideoInfo, option: str) -> int:
    """Return how many frames a length of time has: a bare number is frames, `0.5s` seconds.

    Raises:
        SettingsError: it is no length.
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d+", text):
        return int(text)
    seconds = _seconds(text)
    if seconds is None:
        raise SettingsError(f"{option} {text!r}: give frames (12) or seconds (0.5s)")
    return round(seconds * clip.num_frames / Fraction(clip.duration_s).limit_denominator(10**6))


def _seconds(text: str) -> Fraction | None:
    """Return the seconds of "4.5s" or "1:02:30.5"; None for anything else."""
    if match := re.fullmatch(rf"{_NUMBER}\s*s(?:ec(?:onds?)?)?", text):
        return Fraction(match[1])
    if match := re.fullmatch(r"(?:(\d+):)?(\d+):([0-5]?\d(?:\.\d*)?)", text):
        hours, minutes, seconds = match.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + Fraction(seconds)
    return None


def _within(number: int, text: str, option: str, clip: VideoInfo) -> int:
    if number > clip.num_frames:
        raise SettingsError(
            f"{option} {text} is past the end of the clip, which has {clip.num_frames} frames, "
            f"{clip.duration_s:.3f} s: use at most 100%"
        )
    return number
