"""The real clips' paths, and a file's contents as read without our own reader."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

SHARED = Path(__file__).parents[2].parent / "shared"
CLIPS, FAILING = SHARED / "clips", SHARED / "failing"


@pytest.fixture
def clip() -> Callable[[str], Path]:
    """Give a real clip's path by its name; skip the test where the clips are not at hand."""

    def find(name: str) -> Path:
        path = CLIPS / name
        if not path.exists():
            pytest.skip(f"no {path}: the real clips are not part of the repository")
        return path

    return find


@pytest.fixture
def failing() -> Callable[[str], Path]:
    """Give the path of a file at which Fairy once failed; skip the test where it is not at hand."""

    def find(name: str) -> Path:
        path = FAILING / name
        if not path.exists():
            pytest.skip(f"no {path}: these files are not part of the repository")
        return path

    return find


@pytest.fixture
def frame_times() -> Callable[[Path], list[Fraction]]:
    """Give the exact times of the shown video packets, demuxed, in seconds, sorted.

    Of VP8, whose packets may hide pictures, those of PyAV's decoded frames.
    """

    def times(path: Path) -> list[Fraction]:
        with av.open(str(path), metadata_errors="replace") as file:
            stream = file.streams.best("video")
            if stream.codec_context.name == "vp8":
                return sorted(frame.pts * frame.time_base for frame in file.decode(stream))
            packets = [packet for packet in file.demux(stream) if packet.size]
            return sorted(p.pts * p.time_base for p in packets if not p.is_discard)

    return times


@pytest.fixture
def audio_packets() -> Callable[[Path], list[list[tuple[Fraction, bytes]]]]:
    """Give, for each audio stream with a codec, its packets as (time in seconds, bytes)."""

    def packets(path: Path) -> list[list[tuple[Fraction, bytes]]]:
        found = []
        with av.open(str(path), metadata_errors="replace") as file:
            streams = [s.index for s in file.streams.audio if s.codec_context is not None]
        for index in streams:
            with av.open(str(path), metadata_errors="replace") as file:
                found.append([(p.pts * p.time_base, bytes(p)) for p in file.demux(index) if p.size])
        return found

    return packets


@pytest.fixture
def scene() -> np.ndarray:
    """Give a smooth coloured picture, uint8 (48,64,3), different in each of its corners."""
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([40 + 3 * x, 40 + 4 * y, 220 - x - 2 * y], axis=-1).astype(np.uint8)
