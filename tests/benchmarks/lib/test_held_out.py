"""benchmarks/lib/held_out.py: pictures with the right answer, and what is held against it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.lib.held_out import (
    Cases,
    frame_cases,
    kept_to_the_named,
    real_frames,
    scene_cases,
    score,
)
from fairy import write_video

SIZE = (32, 40)


@pytest.fixture(scope="module")
def cases() -> Cases:
    return scene_cases(40, SIZE, None)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Return a folder of two clips, one all dark and one all bright, and a file that is none."""
    for name, level in (("bright", 200), ("dark", 40)):
        frames = np.full((6, 60, 80, 3), level, np.uint8)
        write_video(frames, tmp_path / f"{name}.mkv", fps=25)
    (tmp_path / "notes.txt").write_text("no clip")
    return tmp_path


def test_the_targets_themselves_are_right(cases: Cases) -> None:
    right, psnr_db = score(cases.own_targets, cases)
    assert right.float().mean() > 0.9  # some looks leave some scenes alike
    assert psnr_db.min() > 60


def test_the_sources_are_wrong(cases: Cases) -> None:
    right, psnr_db = score(cases.sources, cases)
    assert right.float().mean() < 0.3
    assert psnr_db.mean() < 40


def test_a_target_keeps_to_what_was_named(cases: Cases) -> None:
    local = cases.is_local
    assert local.sum() == 8
    assert kept_to_the_named(cases.own_targets, cases)[local].all()


def test_an_unedited_picture_does_not_change_the_named(cases: Cases) -> None:
    assert not kept_to_the_named(cases.sources, cases)[cases.is_local].any()


def test_a_change_elsewhere_does_not_keep_to_the_named(cases: Cases) -> None:
    tinted = (cases.own_targets + 0.1).clamp(0, 1)
    kept = kept_to_the_named(tinted, cases)[cases.is_local]
    assert kept.float().mean() < 0.5  # some grey backgrounds are named whole


def test_frames_come_from_all_clips_that_can_be_read(clips: Path) -> None:
    frames = real_frames(clips, 4, SIZE)
    assert frames.shape == (4, 3, *SIZE)
    bright = frames.mean((1, 2, 3)) > 0.5
    assert bright.tolist() == [True, False, True, False]


def test_frames_are_asked_for_looks_alone(clips: Path) -> None:
    cases = frame_cases(clips, 3, SIZE)
    assert {edit.scope for edit in cases.edits} == {"global"}
    assert torch.equal(cases.sources, real_frames(clips, 3, SIZE))


def test_a_folder_without_clips_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no clip here can be read"):
        real_frames(tmp_path, 2, SIZE)
