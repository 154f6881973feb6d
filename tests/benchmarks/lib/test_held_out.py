"""benchmarks/lib/held_out.py: pictures with exact results, and what is held against them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.lib.held_out import (
    CASES_AT_ONCE,
    LOCAL,
    LOOKS,
    Cases,
    Row,
    frame_cases,
    judged,
    local_cases,
    real_frames,
    scene_cases,
    whole_photos,
)
from fairy import write_video
from fairy.metrics.fidelity import SAME_LEVELS

SIZE = (32, 40)


@pytest.fixture(scope="module")
def local() -> Cases:
    (cases,) = local_cases(16, (64, 64))
    return cases


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Return a folder of two clips, one all dark and one all bright, and a file that is none."""
    for name, level in (("bright", 200), ("dark", 40)):
        frames = np.full((6, 60, 80, 3), level, np.uint8)
        write_video(frames, tmp_path / f"{name}.mkv", fps=25)
    (tmp_path / "notes.txt").write_text("no clip")
    return tmp_path


def share(rows: Iterable[Row], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def test_the_targets_themselves_are_right_and_the_sources_are_not():
    (cases,) = scene_cases(10, SIZE)
    exact, unedited = judged(cases.own_targets, cases), judged(cases.sources, cases)
    # Some looks leave some scenes alike
    assert share(exact, "right") > 0.8 > 0.4 > share(unedited, "right")
    assert min(row["psnr_db"] for row in exact) > 60 > share(unedited, "psnr_db")


def test_every_edit_is_asked_for_equally_often_in_phrasings_of_its_own(local):
    assert {name: local.names.count(name) for name in local.names} == {e.name: 4 for e in LOCAL}
    assert len(set(local.instructions)) > len(LOCAL)


def test_pictures_come_in_batches_that_do_not_change_them():
    many = list(scene_cases(CASES_AT_ONCE + 1, SIZE, asked=LOOKS))
    assert [len(cases.sources) for cases in many] == [CASES_AT_ONCE, 1]
    (few,) = scene_cases(3, SIZE, asked=LOOKS)
    assert torch.equal(few.sources, many[0].sources[:3])
    assert few.instructions == many[0].instructions[:3]


def test_a_target_reaches_the_whole_change_and_nothing_else(local):
    rows = judged(local.own_targets, local)
    assert all(row["reached"] == pytest.approx(1) for row in rows)
    assert all(row["named_only"] and row["rest_moved"] <= SAME_LEVELS for row in rows)


def test_an_unedited_picture_reaches_nothing(local):
    rows = judged(local.sources, local)
    assert all(row["reached"] == pytest.approx(0, abs=1e-6) for row in rows)
    assert not any(row["named_only"] for row in rows)


def test_a_change_elsewhere_is_not_named_only(local):
    rows = judged((local.own_targets + 0.1).clamp(0, 1), local)
    # A grey background may leave nothing else
    others = [row for row in rows if row["edit"] != "grey_background"]
    assert not any(row["named_only"] for row in others)


def test_only_a_removal_has_a_bound_and_it_is_below_the_exact_result(local):
    rows = judged(local.own_targets, local)
    assert {row["edit"] for row in rows if "bound" in row} == {"remove"}
    assert all(0.3 < row["bound"] < 1 for row in rows if "bound" in row)


def test_frames_come_from_all_clips_that_can_be_read(clips):
    frames = real_frames(clips, 4, SIZE)
    assert frames.shape == (4, 3, *SIZE)
    bright = frames.mean((1, 2, 3)) > 0.5
    assert bright.tolist() == [True, False, True, False]


def test_frames_are_asked_for_looks_alone(clips):
    (cases,) = frame_cases(clips, 3, SIZE)
    assert {edit.scope for edit in cases.edits} == {"global"}
    assert torch.equal(cases.sources, real_frames(clips, 3, SIZE))
    assert all("reached" not in row for row in judged(cases.sources, cases))


def test_a_folder_without_clips_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no clip in this folder can be read"):
        real_frames(tmp_path, 2, SIZE)


def test_photographs_are_chosen_evenly_and_cut_to_size(tmp_path):
    for level in (0, 50, 100, 150):
        Image.new("RGB", (90, 60), (level,) * 3).save(tmp_path / f"{level:03}.png")
    images = list(whole_photos(tmp_path, 2, (32, 32)))
    assert [tuple(image.shape) for image in images] == [(1, 3, 32, 32)] * 2
    assert [round(float(image.mean() * 255)) for image in images] == [0, 100]
