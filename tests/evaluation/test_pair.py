"""fairy/evaluation/pair.py."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from fairy.errors import SettingsError
from fairy.evaluation.pair import align, load_pair
from fairy.media.info import VideoInfo, still_info
from fairy.media.write import write_video
from tests.tiny import make_frames


def clip(name: str, num_frames: int, fps: float, width: int = 64, height: int = 48) -> VideoInfo:
    return still_info(Path(name), num_frames, height, width, Fraction(fps), "rgb24")


def test_like_clips_are_paired_without_a_note():
    how = align(clip("edit", 10, 30), clip("source", 10, 30))
    assert how.edited_indices == how.other_indices == list(range(10))
    assert (how.size, how.notes) == ((48, 64), ())


def test_an_edit_that_ends_early_is_compared_as_far_as_it_goes():
    how = align(clip("edit", 8, 30), clip("source", 120, 30))
    assert how.other_indices == list(range(8))
    assert how.notes == ("source: its last 112 of 120 frames are left out",)


def test_as_many_frames_at_another_rate_are_paired_by_number():
    how = align(clip("edit", 16, 8), clip("source", 16, 30))
    assert how.other_indices == list(range(16))
    assert "paired by number" in how.notes[0]


def test_dropped_frames_are_paired_by_time():
    how = align(clip("edit", 10, 10), clip("source", 30, 30))
    assert how.other_indices == list(range(0, 30, 3))
    assert "paired by time" in how.notes[0]


def test_added_frames_are_paired_by_time():
    how = align(clip("edit", 60, 60), clip("source", 30, 30))
    assert how.edited_indices == list(range(0, 60, 2))
    assert how.other_indices == list(range(30))


def test_frames_that_cannot_be_matched_are_refused():
    with pytest.raises(SettingsError, match="--pair-by number or --pair-by time") as error:
        align(clip("edit", 16, 8), clip("source", 120, 30))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("by", "last"), [("number", 15), ("time", 56)])
def test_an_option_decides_how_frames_are_matched(by, last):
    how = align(clip("edit", 16, 8), clip("source", 120, 30), pair_by=by)
    assert (len(how.edited_indices), how.other_indices[-1]) == (16, last)


def test_both_are_compared_at_the_smaller_size():
    how = align(clip("edit", 4, 8, 512, 288), clip("source", 4, 8, 1920, 1080))
    assert how.size == (288, 512)
    assert how.notes == ("source is scaled from 1920x1080 to 512x288 for the comparison",)


def test_large_clips_are_compared_at_the_size_asked_for():
    big = clip("edit", 4, 8, 1920, 1080)
    assert align(big, clip("source", 4, 8, 1920, 1080), size=480).size == (270, 480)


def test_another_shape_is_refused_until_it_is_explained():
    edit, source = clip("edit", 4, 8, 512, 512), clip("source", 4, 8, 1280, 720)
    with pytest.raises(SettingsError, match=r"--fit crop.*--fit stretch"):
        align(edit, source)
    assert align(edit, source, fit="crop").crop == (0, 280, 720, 720)
    assert align(edit, source, fit="stretch").crop == (0, 0, 720, 1280)
    assert align(edit, source, fit="stretch").size == (512, 512)


def test_a_tall_part_of_a_tall_clip_is_its_middle():
    how = align(clip("e", 4, 8, 64, 64), clip("s", 4, 8, 96, 128), fit="crop")
    assert how.crop == (16, 0, 96, 96)


def test_frames_that_are_read_are_those_that_were_paired(tmp_path):
    frames = make_frames(12, 32, 48)
    write_video(frames, tmp_path / "source", fps=25)
    # An editor that kept the first frames, and cut the middle out
    write_video(frames[:4, :, 8:40], tmp_path / "edit", fps=25)
    pair, notes = load_pair(tmp_path / "edit", tmp_path / "source", fit="crop")
    assert pair.source.shape == (4, 3, 32, 32)
    assert torch.equal(pair.edited, pair.source)
    assert pair.flow.shape == (3, 2, 32, 32)
    assert len(notes) == 2


def test_a_target_that_is_shorter_shortens_the_comparison(tmp_path):
    frames = make_frames(6, 16, 16)
    for name, count in (("source", 6), ("edit", 6), ("target", 4)):
        write_video(frames[:count], tmp_path / name, fps=25)
    pair, notes = load_pair(*(tmp_path / name for name in ("edit", "source", "target")))
    assert pair.target is not None
    assert torch.equal(pair.target, pair.edited)
    assert len(pair.source) == 4
    assert notes == ("edit: its last 2 of 6 frames are left out",)


def test_a_clip_is_not_its_own_source(tmp_path):
    write_video(np.zeros((2, 16, 16, 3), np.uint8), tmp_path / "a.mp4")
    with pytest.raises(SettingsError, match="the same file"):
        load_pair(tmp_path / "a.mp4", tmp_path / "a.mp4")


def test_a_picture_is_no_clip(tmp_path):
    for name in ("source", "edit"):
        write_video(make_frames(1, 16, 16), tmp_path / name, fps=25)
    with pytest.raises(SettingsError, match="at least 2"):
        load_pair(tmp_path / "edit", tmp_path / "source")
