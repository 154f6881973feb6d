"""What cannot be done is refused in one line before any model is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairy.config import EditConfig
from fairy.errors import FairyError, InstructionError, OutputExistsError, SettingsError
from fairy.jobs.plan import choose_anchors, plan_edit
from fairy.media.write import write_video
from tests.tiny import make_frames


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(make_frames(5), path, fps=10)
    return path


def test_plan_knows_the_clip_and_its_anchors(clip: Path):
    plan = plan_edit(clip, "  snow ", clip.with_name("out.mp4"), EditConfig(num_anchors=2))
    assert plan.instruction == "snow"
    assert plan.info.num_frames == 5
    assert plan.anchor_indices == (1, 3)
    assert plan.shots == ((0, 5),)


@pytest.mark.parametrize("instruction", ["", "  \n"])
def test_empty_instruction_is_refused(clip: Path, instruction: str):
    with pytest.raises(InstructionError, match="the instruction is empty: say what to change"):
        plan_edit(clip, instruction, clip.with_name("out.mp4"), EditConfig())


def test_the_clip_itself_is_no_output(clip: Path):
    with pytest.raises(SettingsError, match="the result would replace the clip to edit"):
        plan_edit(clip, "snow", clip, EditConfig(), overwrite=True)


def test_compare_must_not_replace_the_result(clip: Path):
    out = clip.with_name("out.mp4")
    with pytest.raises(SettingsError, match="--compare would replace the result"):
        plan_edit(clip, "snow", out, EditConfig(), compare=out, overwrite=True)


def test_report_is_not_replaced_unasked(clip: Path):
    report = clip.with_name("report.json")
    report.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"report\.json: exists already; give --overwrite"):
        plan_edit(clip, "snow", clip.with_name("out.mp4"), EditConfig(), report=report)
    assert report.read_text() == "mine"


def test_report_needs_its_folder(clip: Path):
    report = clip.parent / "missing" / "report.json"
    with pytest.raises(FairyError, match="does not exist; make it first"):
        plan_edit(clip, "snow", clip.with_name("out.mp4"), EditConfig(), report=report)


def test_anchors_by_hand_are_sorted_and_single():
    assert choose_anchors(((0, 10),), EditConfig(anchor_indices=(7, 2, 7))) == ((2, 7),)


@pytest.mark.parametrize("index", [-1, 10])
def test_anchor_outside_the_clip_is_refused(index: int):
    with pytest.raises(SettingsError, match=f"{index} is not in the clip.* 0 to 9"):
        choose_anchors(((0, 10),), EditConfig(anchor_indices=(2, index)))


def test_more_anchors_than_frames_makes_every_frame_one(caplog: pytest.LogCaptureFixture):
    assert choose_anchors(((0, 2),), EditConfig(num_anchors=5)) == ((0, 1),)
    assert "5 anchors asked, the clip has 2 frames" in caplog.text


def test_every_shot_has_anchors_of_its_own():
    anchors = choose_anchors(((0, 6), (6, 12)), EditConfig(num_anchors=3))
    assert anchors == ((1, 3, 5), (7, 9, 11))


def test_a_short_shot_has_fewer_anchors_and_nobody_is_told(caplog: pytest.LogCaptureFixture):
    assert choose_anchors(((0, 1), (1, 9)), EditConfig(num_anchors=2)) == ((0,), (3, 7))
    assert caplog.text == ""


def test_anchors_by_hand_serve_their_shot_and_others_get_their_own():
    config = EditConfig(num_anchors=1, anchor_indices=(1, 3))
    assert choose_anchors(((0, 5), (5, 10)), config) == ((1, 3), (7,))
