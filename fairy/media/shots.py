"""Where a clip is cut: FFmpeg's scdet on small pictures, and shots as frame ranges.

A shot is (first frame, frame after the last); a clip's shots follow each other without a gap.
What the detector was measured against: docs/shots.md. Tests: tests/media/test_shots.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fairy.errors import SettingsError
from fairy.media.info import Frame

Shot = tuple[int, int]
"""(first frame, frame after the last)."""

# Width at which pictures are compared: cuts are no fine detail.
WIDTH_PX = 160
# Of scdet's score, 0 to 100; measured by benchmarks/quality/shot_detection.py.
THRESHOLD = 6.0
# A flash looks like two cuts a frame or two apart.
MIN_FRAMES = 6


def find_shots(frames: Iterable[Frame]) -> tuple[Shot, ...]:
    """Return the shots of a whole clip, given frame by frame."""
    finder, num_frames = CutFinder(), 0
    for frame in frames:
        finder.add(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.image), format="rgb24"))
        num_frames += 1
    return shots_between(finder.cuts(), num_frames)


def read_shots(path: Path, num_frames: int) -> tuple[Shot, ...]:
    """Return the shots that a text file names: the first frame of each, one per line.

    Empty lines and what follows a `#` are left out, and so is frame 0, which begins a shot anyway.

    Raises:
        SettingsError: no such file, not frame numbers, or not in the clip.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        starts = [int(line) for text in lines if (line := text.split("#")[0].strip())]
    except OSError as error:
        raise SettingsError(
            f"--shots {path}: cannot be read ({error.strerror}): use auto, off, or a file of frame "
            "numbers, one per line, at which shots begin"
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"--shots {path}: not a list of frame numbers ({error}): give one per line, as in 120"
        ) from error
    try:
        return shots_from(starts, num_frames)
    except SettingsError as error:
        raise SettingsError(f"--shots {path}: {error}") from error


class CutFinder:
    """Finds cuts in frames given one by one.

    Args:
        threshold: score, 0 to 100, from which a frame begins a new shot.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._shape: tuple[int, int, str] | None = None
        self._num_frames = 0
        self._cuts: list[int] = []

    def add(self, frame: av.VideoFrame) -> None:
        """Look at the next frame."""
        shape = (frame.height, frame.width, frame.format.name)
        if shape != self._shape:
            self._graph, self._shape = _make_graph(frame), shape
        self._graph.push(frame)
        small = self._graph.pull()
        if float(small.metadata["lavfi.scd.score"]) >= self._threshold:
            self._add_cut(self._num_frames)
        self._num_frames += 1

    def _add_cut(self, index: int) -> None:
        before = self._cuts[-1] if self._cuts else 0
        if index - before >= MIN_FRAMES:
            self._cuts.append(index)

    def cuts(self) -> list[int]:
        """Return the frames that begin a new shot, but not frame 0."""
        return list(self._cuts)


def shots_from(starts: Iterable[int], num_frames: int) -> tuple[Shot, ...]:
    """Return the shots of a clip of `num_frames` that begin at the frames `starts`, in any order.

    Frame 0 begins a shot, named or not.

    Raises:
        SettingsError: a frame that is not in the clip.
    """
    ordered = sorted({*starts})
    if outside := [start for start in ordered if not 0 <= start < num_frames]:
        raise SettingsError(f"frame {outside[0]} is not in the clip: use 0 to {num_frames - 1}")
    return shots_between([start for start in ordered if start > 0], num_frames)


def shots_between(cuts: Sequence[int], num_frames: int) -> tuple[Shot, ...]:
    """Return the shots of a clip of `num_frames` that is cut before the frames `cuts`.

    >>> shots_between([40, 90], num_frames=120)
    ((0, 40), (40, 90), (90, 120))
    """
    starts = [0, *cuts]
    return tuple(zip(starts, [*cuts, num_frames], strict=True))


def _make_graph(frame: av.VideoFrame) -> av.filter.Graph:
    """Return the filters for frames like this one: shrink, then compare with the frame before."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    height = max(2, round(frame.height * WIDTH_PX / frame.width))
    graph.link_nodes(
        source,
        graph.add("scale", f"{WIDTH_PX}:{height}:flags=area"),
        graph.add("format", "yuv444p"),
        graph.add("scdet", "threshold=100"),
        graph.add("buffersink"),
    ).configure()
    return graph
