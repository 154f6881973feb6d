"""What cannot be done is refused in one line before any model is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairy.errors import FairyError, InstructionError, OutputExistsError, SettingsError
from fairy.jobs.plan import plan_edit
from fairy.media.write import write_video
from fairy.settings import EditConfig
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
