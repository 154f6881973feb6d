"""Masks fit the clip by number or by time, in any size; growing and feathering stay in bounds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairy.control.masks import Masks, _matched_by_time, is_words, shaped
from fairy.errors import FairyError
from fairy.media.read import probe
from fairy.media.write import write_video
from fairy.settings import MediaConfig

SIZE = (24, 32)
LOSSLESS = MediaConfig(codec="ffv1", pix_fmt="bgr0")


def moving_boxes(num_frames: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return masks (T,H,W,3), each with one white column of its own."""
    masks = np.zeros((num_frames, *size, 3), np.uint8)
    step = size[1] // 32
    for index in range(num_frames):
        masks[index, :, step * index : step * (index + 1)] = 255
    return masks


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(np.zeros((10, *SIZE, 3), np.uint8), path, fps=10)
    return path


def columns(masks: Masks, indices=range(10)) -> list[int]:
    """Return the white column of each mask."""
    return [int(mask[0].argmax()) for mask in masks.at(indices)]


def test_one_picture_is_for_all_frames(clip: Path):
    Image.fromarray(moving_boxes(5)[4]).save(clip.with_name("m.png"))
    assert columns(Masks(clip.with_name("m.png"), probe(clip))) == [4] * 10


@pytest.mark.parametrize("name", ["m.mkv", "masks"])
def test_as_many_masks_as_frames_are_one_for_each(clip: Path, name: str):
    media = LOSSLESS if name == "m.mkv" else None
    # Of another rate: the numbers decide
    write_video(moving_boxes(10), clip.with_name(name), fps=7, media=media)
    masks = Masks(clip.with_name(name), probe(clip))
    assert columns(masks) == list(range(10))
    assert columns(masks, [2, 3, 7]) == [2, 3, 7]


@pytest.mark.parametrize(
    ("rate", "expected"), [(20, range(0, 20, 2)), (5, [i // 2 for i in range(10)])]
)
def test_a_video_of_another_rate_is_matched_by_time(clip: Path, rate: int, expected):
    write_video(moving_boxes(rate), clip.with_name("m.mkv"), fps=rate, media=LOSSLESS)
    assert columns(Masks(clip.with_name("m.mkv"), probe(clip))) == list(expected)


def test_times_that_files_round_are_the_same_time():
    exact = [Fraction(i, 30) for i in range(6)]
    rounded = [Fraction(round(1000 * i / 60), 1000) for i in range(12)]
    assert _matched_by_time(rounded, exact) == (0, 2, 4, 6, 8, 10)


def test_uneven_times_take_the_mask_that_is_shown_then():
    frames = [Fraction(t, 10) for t in (50, 51, 54, 57, 59)]
    masks = [Fraction(t, 10) for t in range(0, 10, 2)]
    assert _matched_by_time(masks, frames) == (0, 0, 2, 3, 4)


def test_a_mask_of_another_size_covers_the_same_part(clip: Path):
    Image.fromarray(moving_boxes(1, (48, 64))[0]).save(clip.with_name("m.png"))
    mask = next(Masks(clip.with_name("m.png"), probe(clip)).at([0]))
    assert mask.shape == SIZE and mask[:, 0].all() and not mask[:, 1:].any()


def test_what_a_lossy_file_makes_of_black_and_white_is_black_and_white(clip: Path):
    levels = np.full((*SIZE, 3), 12, np.uint8)
    levels[:, 16:] = 243
    Image.fromarray(levels).save(clip.with_name("m.png"))
    mask = next(Masks(clip.with_name("m.png"), probe(clip)).at([0]))
    assert not mask[:, :16].any() and (mask[:, 16:] == 1).all()


def test_invert_swaps_black_and_white(clip: Path):
    Image.fromarray(moving_boxes(1)[0]).save(clip.with_name("m.png"))
    mask = next(Masks(clip.with_name("m.png"), probe(clip), invert=True).at([0]))
    assert not mask[:, 0].any() and mask[:, 1:].all()


@pytest.mark.parametrize(
    ("num_masks", "size", "name", "words"),
    [
        (7, SIZE, "masks", "7 masks for 10 frames"),
        (30, SIZE, "m.mkv", "30 masks (3 s) for 10 frames (1 s)"),
        (1, (24, 24), "m.png", "24x24 is not of the clip's shape, 32x24"),
    ],
)
def test_what_does_not_fit_is_refused(clip: Path, num_masks, size, name, words):
    write_video(np.zeros((num_masks, *size, 3), np.uint8), clip.with_name(name), fps=10)
    with pytest.raises(FairyError) as caught:
        Masks(clip.with_name(name), probe(clip))
    assert words in str(caught.value)


def test_a_mask_that_is_missing_or_no_picture_is_refused(clip: Path):
    with pytest.raises(FairyError, match="no such file"):
        Masks(clip.with_name("m.png"), probe(clip))
    clip.with_name("m.png").write_text("not a picture")
    with pytest.raises(FairyError, match=r"m\.png"):
        Masks(clip.with_name("m.png"), probe(clip))


def disc(radius: float, size: int = 61) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    return (np.hypot(x, y) <= radius).astype(np.float32)


@pytest.mark.parametrize("grow", [0, 4, 9])
@pytest.mark.parametrize("feather", [0, 5])
def test_nothing_further_than_grow_and_feather_is_added(grow: int, feather: int):
    mask = shaped(disc(8), grow=grow, feather=feather)
    assert not mask[disc(8 + grow + feather + 0.01) == 0].any()
    assert (mask[disc(8 + grow - 1) == 1] == 1).all()
    if feather:
        # A linear ramp to the right of the disc
        ramp = mask[30, 30 + 8 + grow : 30 + 8 + grow + feather + 2]
        assert np.allclose(np.diff(ramp), -1 / (feather + 1), atol=1e-5)


def test_a_mask_shrinks(clip: Path):
    mask = shaped(disc(12), grow=-4)
    assert not mask[disc(9) == 0].any() and mask[disc(7) == 1].all()
    assert not shaped(disc(3), grow=-6).any()


def test_grey_stays_grey():
    assert (shaped(0.25 * disc(9)) == 0.25 * disc(9)).all()
    assert not shaped(0 * disc(9), grow=5, feather=5).any()


@pytest.mark.parametrize(
    ("mask", "words"),
    [("red car", True), ("car.png", False), ("./car", False), ("masks/", False), ("folder", False)],
)
def test_words_hold_no_slash_and_no_suffix_and_name_nothing(
    mask: str, words: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert is_words(mask) is words
