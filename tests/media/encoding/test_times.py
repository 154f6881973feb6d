"""Clips that begin late, or whose clock is very fine, keep their times in every container."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fairy.media import probe, read_frames
from tests.media.copying import copy

RATE = 48_000
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
LATE_S = 40_000


@pytest.fixture
def clip_at(tmp_path: Path) -> Callable[..., Path]:
    """A function: ten pictures and sound that begin together at a time, with two chapters."""

    def make(suffix: str, start_s: int = 0, **options: str) -> Path:
        path = tmp_path / f"in{suffix}"
        options["output_ts_offset"] = str(start_s)
        with av.open(str(path), "w", options=options) as file:
            # Chapters are not moved by the offset
            edges_ms = [1000 * start_s + ms for ms in (0, 100, 300)]
            same = {"time_base": Fraction(1, 1000), "metadata": {"title": "part"}}
            file.set_chapters(
                [{"id": i, "start": edges_ms[i], "end": edges_ms[i + 1], **same} for i in (0, 1)]
            )
            video = file.add_stream("libx264", rate=25)
            video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
            sound = file.add_stream("libopus" if suffix == ".mkv" else "aac", rate=RATE)
            for index in range(10):
                frame = av.VideoFrame(64, 48, "yuv420p")
                frame.pts = index
                file.mux(video.encode(frame))
                part = av.AudioFrame.from_ndarray(
                    np.zeros((1, RATE // 25), np.float32), format="fltp", layout="mono"
                )
                part.sample_rate, part.pts = RATE, index * RATE // 25
                file.mux(sound.encode(part))
            file.mux(video.encode(None))
            file.mux(sound.encode(None))
        return path

    return make


def times(path: Path) -> list[float]:
    return [float(frame.time_s) for frame in read_frames(path)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_clip_that_begins_hours_late_does_not_last_hours(clip_at, tmp_path, suffix, caplog):
    source = clip_at(".mkv", LATE_S)
    out = copy(source, tmp_path / f"out{suffix}")
    assert np.allclose(times(out), np.array(times(source)) - LATE_S, atol=1e-3)
    with av.open(str(out)) as file:
        assert file.duration / av.time_base < 0.6
        for stream in (file.streams.video[0], file.streams.audio[0]):
            assert abs(stream.start_time * stream.time_base) < 0.01
        starts_s = [float(c["start"] * c["time_base"]) for c in file.chapters()]
    assert starts_s == pytest.approx([0, 0.1], abs=2e-3)
    assert "begins at 40000.000 s; made to begin at 0" in caplog.text


def test_matroska_may_begin_late(clip_at, tmp_path):
    source = clip_at(".mkv", LATE_S)
    assert times(copy(source, tmp_path / "out.mkv")) == times(source)


def test_a_clip_that_begins_a_little_late_keeps_its_times(clip_at, tmp_path):
    source = clip_at(".mkv", 2)
    assert times(copy(source, tmp_path / "out.mp4")) == times(source)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".gif"])
@pytest.mark.parametrize("ticks_per_s", [10**9 + 7, 2**31 - 1])
def test_very_fine_clocks(clip_at, tmp_path, suffix: str, ticks_per_s: int):
    source = clip_at(".mp4", video_track_timescale=str(ticks_per_s))
    assert probe(source).time_base == Fraction(1, ticks_per_s)
    out = copy(source, tmp_path / f"out{suffix}")
    assert np.allclose(times(out), times(source), atol=1e-3)
