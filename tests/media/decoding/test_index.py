"""The index names every picture, and only key frames from which decoding is exact."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from fairy.media.decoding.index import Entry, FrameIndex, frame_index


def make_clip(path: Path, encoder: str, num_frames: int = 30, **options: str) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(encoder, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for index in range(num_frames):
            image = np.full((48, 64, 3), 8 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def entries(path: Path) -> list[int]:
    index = frame_index(path, None)
    assert index is not None
    return [entry.number for entry in index.entries]


def test_every_picture_and_key_frame_is_named(tmp_path: Path):
    path = make_clip(tmp_path / "clip.mp4", "libx264", g="10", sc_threshold="0")
    index = frame_index(path, None)
    assert index is not None
    assert [pts for pts, _ in index.times] == [512 * number for number in range(30)]
    assert index.entries == (Entry(0, 0), Entry(10, 5120), Entry(20, 10240))


def test_the_entry_before_a_picture_is_the_nearest():
    index = FrameIndex(times=(), entries=(Entry(5, 50), Entry(10, 100)))
    assert [index.entry_before(number) for number in (4, 5, 9, 10, 99)] == [
        None, Entry(5, 50), Entry(5, 50), Entry(10, 100), Entry(10, 100),
    ]  # fmt: skip


def test_recovery_points_of_h264_are_no_entries(tmp_path: Path):
    params = {"x264-params": "keyint=10:scenecut=0:open-gop=1"}
    path = make_clip(tmp_path / "clip.mkv", "libx264", **params)
    with av.open(str(path)) as file:
        assert sum(packet.is_keyframe for packet in file.demux(video=0) if packet.size) > 1
    assert entries(path) == [0]


def test_open_groups_of_hevc_are_entries(tmp_path: Path):
    params = {"x265-params": "log-level=none:keyint=10:min-keyint=10:scenecut=0:open-gop=1"}
    path = make_clip(tmp_path / "clip.mp4", "libx265", **params)
    assert len(entries(path)) == 3


@pytest.mark.parametrize(
    ("name", "encoder"), [("clip.ts", "libx264"), ("clip.avi", "mpeg4"), ("clip.webm", "libvpx")]
)
def test_there_is_none_where_only_decoding_can_tell(tmp_path: Path, name: str, encoder: str):
    assert frame_index(make_clip(tmp_path / name, encoder), None) is None


def test_a_file_that_changes_is_read_again(tmp_path: Path):
    path = tmp_path / "clip.mp4"
    for num_frames in (30, 12):
        index = frame_index(make_clip(path, "libx264", num_frames), None)
        assert index is not None and len(index.times) == num_frames
