"""A schedule: which instruction holds from which frame on, read from a JSON file.

`{"0": "make it snow", "4s": {"text": "make it night", "strength": 0.6}, "80%": ""}`: times as in
`fairy.control.times`; an empty text leaves frames as they are.
Tests: tests/control/test_schedule.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from fairy.control.times import frame_of, frames_in
from fairy.errors import SettingsError
from fairy.media.info import VideoInfo
from fairy.system import parse_json

_FORM = 'give an object of times and texts, as in {"0": "make it snow", "4s": "make it night"}'


@dataclass(frozen=True)
class Stretch:
    """Frames `first` to `end` - 1, which one instruction changes.

    Attributes:
        first: the first frame.
        end: the frame after the last.
        text: the instruction; the frames stay as they are when empty.
        strength: how far the edit goes; the settings' when None.
    """

    first: int
    end: int
    text: str
    strength: float | None = None


def read_schedule(path: Path | None, instruction: str, clip: VideoInfo) -> tuple[Stretch, ...]:
    """Return the stretches of a clip, in order and without gaps.

    `instruction` holds before the file's first time, or everywhere without a file.

    Raises:
        SettingsError: the file is no schedule, two times are the same frame, or a time is not in
            the clip.
    """
    if path is None:
        return (Stretch(0, clip.num_frames, instruction),)
    starts: dict[int, tuple[str, str, float | None]] = {}
    for time, entry in _read(path):
        first = frame_of(time, clip, f"{path}: time")
        if first >= clip.num_frames:
            raise SettingsError(f"{path}: time {time} is the end of the clip; leave it out")
        if first in starts:
            raise SettingsError(
                f"{path}: {starts[first][0]} and {time} are both frame {first}: give one of them"
            )
        starts[first] = (time, *_entry(path, time, entry))
    starts.setdefault(0, ("0", instruction, None))
    bounds = [*sorted(starts), clip.num_frames]
    return tuple(Stretch(first, end, *starts[first][1:]) for first, end in pairwise(bounds))


def blended_frames(
    blend: str | None, stretches: Sequence[Stretch], clip: VideoInfo
) -> dict[int, float]:
    """Return the frames in which a stretch is blended in, and the share that it has in each.

    Args:
        blend: the length of a blend, as in `frames_in`; None for cuts.
        stretches: those of the clip, in order.
        clip: the clip.

    Raises:
        SettingsError: it is no length, or longer than a stretch.
    """
    length = 0 if blend is None else frames_in(blend, clip, "--blend")
    shares: dict[int, float] = {}
    for stretch in stretches[1:]:
        if length > stretch.end - stretch.first:
            raise SettingsError(
                f"--blend {blend} is {length} frames, but the instruction at frame "
                f"{stretch.first} holds for {stretch.end - stretch.first}: use a shorter one"
            )
        shares |= {stretch.first + n: (n + 1) / (length + 1) for n in range(length)}
    return shares


def split_shots(
    shots: Sequence[tuple[int, int]], stretches: Sequence[Stretch]
) -> tuple[tuple[int, int], ...]:
    """Return the shots, cut where a stretch begins."""
    cuts = sorted({first for first, _ in shots} | {one.first for one in stretches})
    return tuple(pairwise([*cuts, shots[-1][1]]))


def _read(path: Path) -> list[tuple[str, Any]]:
    """Return the times and entries of a file; a time that is there twice is refused."""
    try:
        entries = parse_json(path.read_text(encoding="utf-8-sig"), object_pairs_hook=list)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: is not JSON: {_FORM}") from error
    if not isinstance(entries, list) or not entries or not all(_is_pair(one) for one in entries):
        raise SettingsError(f"{path}: is no schedule: {_FORM}")
    return entries


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, tuple) and len(entry) == 2


def _entry(path: Path, time: str, entry: Any) -> tuple[str, float | None]:
    """Return the text and the strength of an entry: a text, or an object with both."""
    if isinstance(entry, str):
        return " ".join(entry.split()), None
    fields = dict(entry) if isinstance(entry, list) and all(map(_is_pair, entry)) else {}
    text, strength = fields.get("text"), fields.get("strength", 1.0)
    known = not fields.keys() - {"text", "strength"}
    number = isinstance(strength, int | float) and not isinstance(strength, bool)
    if not known or not isinstance(text, str) or not number or not 0 <= strength <= 1:
        raise SettingsError(
            f"{path}: {time}: give a text, or "
            '{"text": "make it night", "strength": 0.6} with a strength from 0 to 1'
        )
    return " ".join(text.split()), float(strength)
