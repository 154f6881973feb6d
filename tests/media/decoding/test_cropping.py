"""What a file shows of its coded pictures (Matroska's PixelCrop, MP4's clap) is what is edited."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.lib.odd_clips import cropped
from fairy.media import probe, read_frames
from fairy.media.shots import find_shots
from fairy.settings import MediaConfig
from tests.media.copying import copy

# Left, right, top, bottom, of the 64x48 picture of `scene`
CROPPING = (4, 2, 8, 4)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_shown_part_is_read(tmp_path: Path, scene: np.ndarray, suffix: str):
    path = cropped(tmp_path / f"in{suffix}", scene, CROPPING)
    info, frames = probe(path), list(read_frames(path))
    assert (info.height, info.width, info.coded_height, info.coded_width) == (36, 58, 48, 64)
    assert len(frames) == info.num_frames == 4
    for frame in frames:
        assert np.abs(frame.image - scene[8:44, 4:62].astype(int)).mean() < 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_is_cropped_is_then_turned(tmp_path: Path, scene: np.ndarray, suffix: str):
    path = cropped(tmp_path / f"in{suffix}", scene, CROPPING, degrees=90)
    [first, *_] = read_frames(path)
    assert np.abs(first.image - np.rot90(scene[8:44, 4:62]).astype(int)).mean() < 3
    assert (probe(path).height, probe(path).width) == (58, 36)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_result_is_not_cropped_twice(tmp_path: Path, scene: np.ndarray, suffix: str):
    path = cropped(tmp_path / f"in{suffix}", scene, CROPPING)
    [first, *_] = read_frames(copy(path, tmp_path / f"out{suffix}"))
    assert first.image.shape == (36, 58, 3)


def test_a_part_of_no_pixels_is_not_believed(tmp_path: Path, scene: np.ndarray):
    path = cropped(tmp_path / "in.mp4", scene, (40, 40, 0, 0))
    assert probe(path).width == 64
    assert next(read_frames(path)).image.shape == (48, 64, 3)


def test_metadata_cannot_crop(tmp_path: Path, scene: np.ndarray):
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as file:
        file.metadata["title"] = "x\n      Frame Cropping: 4/2/8/4\n  Stream #0:0"
        stream = file.add_stream("ffv1", rate=10)
        stream.metadata["title"] = "x\n      Frame Cropping: 4/2/8/4\r      Frame Cropping: 4/2/8/4"
        stream.height, stream.width, stream.pix_fmt = 48, 64, "bgr0"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(scene, format="rgb24")))
        file.mux(stream.encode(None))
    assert next(read_frames(path)).image.shape == (48, 64, 3)


def test_shots_are_found_in_a_cropped_clip(tmp_path: Path, scene: np.ndarray):
    path = cropped(tmp_path / "in.mkv", scene, CROPPING)
    assert find_shots(path, MediaConfig()) == ((0, 4),)
