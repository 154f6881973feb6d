"""Cuts are found where they were made, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from fairy.errors import SettingsError
from fairy.media.frames import resize
from fairy.media.read import read_frames
from fairy.media.shots import (
    MIN_FRAMES,
    CutFinder,
    Shot,
    find_shots,
    read_shots,
    shots_between,
)
from fairy.media.write import write_video
from fairy.settings import MediaConfig


def shots_in(images: np.ndarray) -> tuple[Shot, ...]:
    finder = CutFinder()
    for image in images:
        finder.add(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"))
    return shots_between(finder.cuts(), finder.num_frames)


def moving(seed: int, num_frames: int) -> np.ndarray:
    """A smooth random picture that slides by, uint8 (T,45,80,3): odd height, no cut."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    wide = resize(coarse, (45, 80 + 2 * num_frames))
    return np.stack([wide[:, 2 * t : 2 * t + 80] for t in range(num_frames)])


def test_cuts_are_found_to_the_frame():
    images = np.concatenate([moving(0, 9), moving(1, 14), moving(2, 8)])
    assert shots_in(images) == ((0, 9), (9, 23), (23, 31))


def test_motion_is_no_cut():
    assert shots_in(moving(0, 20)) == ((0, 20),)


def test_a_flash_is_no_shot():
    images = moving(0, 20)
    images[10] = 255
    assert all(end - first >= MIN_FRAMES for first, end in shots_in(images)[:-1])
    assert len(shots_in(images)) <= 2


def test_one_frame_is_one_shot():
    assert shots_in(moving(0, 1)) == ((0, 1),)


@pytest.mark.parametrize(
    "names",
    [("d01_wolf.mp4", "d09_flower_timelapse.mp4", "d02_woman_running.mp4")],
)
def test_cuts_between_real_clips_are_found(names: tuple[str, ...], clip: Callable[[str], Path]):
    parts = [
        [resize(frame.image, (90, 160)) for frame in islice(read_frames(clip(name)), 12)]
        for name in names
    ]
    assert shots_in(np.concatenate(parts)) == ((0, 12), (12, 24), (24, 36))


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "frames"])
def test_cuts_are_found_in_a_file_and_in_a_folder(tmp_path: Path, name: str):
    images = np.concatenate([moving(0, 9), moving(1, 14)])[:, :44]
    write_video(images, tmp_path / name)
    assert find_shots(tmp_path / name, MediaConfig()) == ((0, 9), (9, 23))


def test_a_change_of_size_is_not_a_cut_by_itself():
    finder = CutFinder()
    for index, image in enumerate(moving(0, 20)):
        size = (45, 80) if index < 10 else (90, 160)
        finder.add(av.VideoFrame.from_ndarray(resize(image, size), format="rgb24"))
    assert finder.cuts() == []


# Found by comparing full-size RGB, which is slower
CUTS = {
    "d08_city_long_60fps.mp4": [283, 307, 317, 333, 339, 345, 351, 756, 762, 768],
    "stress/nasa_2video_2audio.mp4": [240],
    "d07_road_mjpeg.avi": [],
    "d01_wolf.mp4": [],
    "stress/bt601_full.mp4": [],
    "stress/paper_rot90.mp4": [],
}


@pytest.mark.parametrize("name", CUTS)
def test_small_pictures_have_the_cuts_of_the_large_ones(clip: Callable[[str], Path], name: str):
    shots = find_shots(clip(name), MediaConfig())
    assert [first for first, _ in shots[1:]] == CUTS[name]


def test_shots_follow_each_other_without_a_gap():
    assert shots_between([], 5) == ((0, 5),)
    assert shots_between([2, 4], 5) == ((0, 2), (2, 4), (4, 5))


def test_shots_are_read_from_a_file(tmp_path: Path):
    (tmp_path / "shots.txt").write_text("# where it is cut\n0\n\n40  # the beach\n12\n")
    assert read_shots(tmp_path / "shots.txt", 50) == ((0, 12), (12, 40), (40, 50))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("twelve\n", "give one per line"),
        ("50\n", "frame 50 is not in the clip: use 0"),
    ],
)
def test_a_file_that_names_no_shots_is_refused(tmp_path: Path, text: str, words: str):
    (tmp_path / "shots.txt").write_text(text)
    with pytest.raises(SettingsError, match=words):
        read_shots(tmp_path / "shots.txt", 50)


def test_a_missing_file_of_shots_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"No such file.*use auto, off, or a file"):
        read_shots(tmp_path / "shots.txt", 50)
