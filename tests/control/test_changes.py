"""How much of each frame may change, and source and edit in one picture, exact at both ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairy.control.changes import Changes, composite, crop_of, resized
from fairy.errors import FairyError
from fairy.media.info import VideoInfo
from fairy.media.read import probe
from fairy.media.write import write_video
from fairy.settings import EditConfig

SIZE = (48, 64)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(np.zeros((10, *SIZE, 3), np.uint8), path, fps=10)
    return probe(path)


def weights(clip: VideoInfo, **settings) -> list:
    return list(Changes(EditConfig(**settings), clip).weights(range(10)))


def test_without_options_everything_changes(clip: VideoInfo):
    assert weights(clip) == [1.0] * 10
    assert Changes(EditConfig(), clip).everything


def test_a_part_of_the_clip(clip: VideoInfo):
    assert weights(clip, edit_from="3", edit_to="0.8s") == [0, 0, 0, 1, 1, 1, 1, 1, 0, 0]
    assert weights(clip, edit_from="80%") == [0] * 8 + [1, 1]
    assert Changes(EditConfig(edit_to="2"), clip).changed == (True, True) + (False,) * 8


def test_a_fade_is_linear_and_only_at_ends_that_are_named(clip: VideoInfo):
    assert weights(clip, edit_from="2", fade="3") == [0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    both = weights(clip, edit_from="1", edit_to="9", fade="0.1s")
    assert both == [0, 0.5, 1, 1, 1, 1, 1, 1, 0.5, 0]


def test_a_region_is_a_mask(clip: VideoInfo):
    (weight, *_) = weights(clip, region=(8, 4, 10, 6))
    expected = np.zeros(SIZE, np.float32)
    expected[4:10, 8:18] = 1
    assert np.array_equal(weight, expected)


def test_mask_region_and_fade_multiply(clip: VideoInfo, tmp_path: Path):
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[:, 32:] = 255
    write_video(mask[None], tmp_path / "m.png")
    found = weights(clip, mask=tmp_path / "m.png", region=(30, 4, 10, 6), edit_to="3", fade="1")
    expected = np.zeros(SIZE, np.float32)
    expected[4:10, 32:40] = 1
    assert np.array_equal(found[0], expected) and np.array_equal(found[2], expected / 2)
    assert found[3:] == [0.0] * 7


def test_frames_whose_mask_is_black_do_not_change(clip: VideoInfo, tmp_path: Path):
    masks = np.zeros((10, *SIZE, 3), np.uint8)
    masks[4:6, 10:20, 10:20] = 255
    write_video(masks, tmp_path / "masks")
    changes = Changes(EditConfig(mask=tmp_path / "masks"), clip)
    assert [i for i, changed in enumerate(changes.changed) if changed] == [4, 5]
    shrunk = EditConfig(mask=tmp_path / "masks", mask_grow=-8)
    with pytest.raises(FairyError, match="--mask-invert"):
        Changes(shrunk, clip)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"region": (60, 0, 10, 10)}, "leaves the frame, which is 64x48"),
        ({"edit_from": "5", "edit_to": "5"}, "the first must be before the last"),
        ({"edit_from": "5", "edit_to": "0.2s"}, "the first must be before the last"),
        ({"edit_to": "140%"}, "past the end of the clip"),
        ({"edit_from": "later"}, "give a frame"),
        ({"edit_from": "8", "fade": "1s"}, "use a shorter one"),
        ({"edit_from": "8", "fade": "half"}, "give frames"),
    ],
)
def test_what_does_not_fit_the_clip_is_refused(clip: VideoInfo, settings, words: str):
    with pytest.raises(FairyError) as caught:
        Changes(EditConfig(**settings), clip)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mask_feather": 3}, "give --mask or --region"),
        ({"mask_invert": True}, "give --mask or --region"),
        ({"fade": "1s"}, "give --from or --to"),
        ({"region": (0, 0, 0, 4)}, "no area"),
        ({"region": (0, 0, 4)}, "four whole numbers"),
        ({"region": (-1, 0, 4, 4)}, "at least 0"),
        ({"mask_strength": 1.5}, "from 0 to 1"),
        ({"strength": -0.1}, "from 0 to 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, words: str):
    with pytest.raises(FairyError) as caught:
        EditConfig(**settings)
    assert words in str(caught.value)


def test_only_a_small_region_is_cropped():
    assert crop_of(EditConfig(region=(0, 0, 60, 40)), SIZE) is None
    assert crop_of(EditConfig(), SIZE) is None
    crop = crop_of(EditConfig(region=(20, 20, 8, 8)), SIZE)
    assert (crop.x, crop.y, crop.width, crop.height) == (18, 18, 12, 12)
    # All that is feathered is within it
    crop = crop_of(EditConfig(region=(20, 20, 8, 8), mask_feather=4, mask_grow=3), SIZE)
    assert (crop.x, crop.y, crop.width, crop.height) == (13, 13, 22, 22)


def test_a_composite_is_exact_at_both_ends():
    levels = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8)
    source, edited = levels
    weight = np.zeros(SIZE, np.float32)
    weight[:, 20:40], weight[:, 40:] = 0.5, 1
    out = composite(source, edited, weight)
    assert np.array_equal(out[:, :20], source[:, :20])
    assert np.array_equal(out[:, 40:], edited[:, 40:])
    middle = (source[:, 20:40].astype(int) + edited[:, 20:40]) / 2
    assert np.abs(out[:, 20:40] - middle).max() <= 0.5
    assert composite(source, edited, 0.0) is source and composite(source, edited, 1.0) is edited


def test_a_smaller_weight_is_0_where_none_of_it_is_seen():
    weight = np.zeros(SIZE, np.float32)
    weight[:8, :8] = 1
    assert np.array_equal(np.argwhere(resized(weight, (6, 8))), [[0, 0]])
