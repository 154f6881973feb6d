"""Segments in a row are one stream: the same pictures and times as from one encoder."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from fairy.errors import MediaError
from fairy.media.encoding.codecs import choose_encoding
from fairy.media.encoding.encode import VideoEncoder
from fairy.media.encoding.segments import (
    SegmentFile,
    SegmentWriter,
    decoding_times,
    join_packets,
    read_packets,
)
from fairy.media.info import still_info
from fairy.media.read import read_frames
from fairy.media.write import VideoWriter
from tests.tiny import make_frames

TIME_BASE = Fraction(1, 30)
# Uneven on purpose: decoding times of neighbouring segments would overlap as they come.
TIMES = [9, 10, 17, 18, 19, 20, 21, 40, 41, 42, 43, 60, 61, 90]


def write_segment(path: Path, suffix: str, images: np.ndarray, times: list[int]) -> None:
    encoder = VideoEncoder(
        Path(os.devnull),
        choose_encoding(Path(f"a{suffix}"), num_pixels=48 * 64),
        INFO,
        48,
        64,
        tracks=False,
    )
    writer = SegmentWriter(path, encoder)
    for image, time in zip(images, times, strict=True):
        writer.write(image, time, TIME_BASE, 5)
    writer.close()


INFO = still_info(Path("clip"), len(TIMES), 48, 64, Fraction(30), "rgb24")


@pytest.fixture(params=[".mp4", ".mov", ".mkv", ".webm"])
def joined(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A clip of `TIMES` joined from segments of 8 and 6 frames."""
    images = make_frames(len(TIMES), 48, 64)
    parts = [tmp_path / "0", tmp_path / "1"]
    write_segment(parts[0], request.param, images[:8], TIMES[:8])
    write_segment(parts[1], request.param, images[8:], TIMES[8:])
    out = tmp_path / f"out{request.param}"
    with VideoWriter(out, info=INFO, height=48, width=64) as writer:
        for packet in join_packets([SegmentFile(part) for part in parts]):
            writer.copy(packet)
    return out


def test_joined_clip_has_every_frame_at_its_time(joined: Path):
    expected = [time * TIME_BASE for time in TIMES]
    found = [frame.time_s for frame in read_frames(joined)]
    rounded_to_ms = joined.suffix in (".mkv", ".webm")
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert abs(a - b) <= (Fraction(1, 1000) if rounded_to_ms else 0)


def test_joined_clip_shows_the_pictures(joined: Path):
    for frame, image in zip(read_frames(joined), make_frames(len(TIMES), 48, 64), strict=True):
        assert np.abs(frame.image.astype(int) - image).mean() < 4


def test_last_frame_keeps_its_duration(joined: Path):
    if joined.suffix in (".mkv", ".webm"):
        pytest.skip("these containers hold no duration of a frame")
    with av.open(str(joined)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    last = max(packets, key=lambda packet: packet.pts)
    assert last.duration * last.time_base == 5 * TIME_BASE


def test_every_segment_begins_with_a_key_frame(tmp_path: Path):
    write_segment(tmp_path / "part", ".mp4", make_frames(6, 48, 64), TIMES[:6])
    assert next(read_packets(tmp_path / "part")).is_keyframe


def test_unfinished_segment_has_another_name(tmp_path: Path):
    encoder = VideoEncoder(
        Path(os.devnull),
        choose_encoding(Path("a.mp4"), num_pixels=48 * 64),
        INFO,
        48,
        64,
        tracks=False,
    )
    writer = SegmentWriter(tmp_path / "part", encoder)
    writer.write(make_frames(1, 48, 64)[0], 0, TIME_BASE, 1)
    assert not (tmp_path / "part").exists()
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_segment_is_refused(tmp_path: Path):
    (tmp_path / "part").write_bytes(b"something else")
    with pytest.raises(MediaError, match="not a segment of an edit: use --restart"):
        list(read_packets(tmp_path / "part"))


@pytest.mark.parametrize("num_missing", [1, 60])
def test_a_segment_cut_short_is_refused(tmp_path: Path, num_missing: int):
    path = tmp_path / "part"
    write_segment(path, ".mp4", make_frames(2, 48, 64), TIMES[:2])
    path.write_bytes(path.read_bytes()[:-num_missing])
    with pytest.raises(MediaError, match="cut short: use --restart"):
        list(read_packets(path))


@pytest.mark.parametrize("pts", [[0, 1, 2], [5], [0, 8, 4, 2, 6, 20, 12, 10, 16], []])
def test_decoding_times_grow_and_are_never_late(pts: list[int]):
    dts = decoding_times(pts)
    assert len(dts) == len(pts)
    assert all(a < b for a, b in pairwise(dts))
    assert all(decoded <= shown for decoded, shown in zip(dts, pts, strict=True))
