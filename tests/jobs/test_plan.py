"""What cannot be done is refused in one line before any model is loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import fairy.jobs.manifest
import fairy.jobs.plan
from fairy.errors import (
    FairyError,
    InstructionError,
    MediaError,
    OutputExistsError,
    SettingsError,
)
from fairy.jobs.plan import SEGMENT_FRAMES, EditPlan, EditRequest, plan_edit
from fairy.jobs.workspace import Workspace
from fairy.media.info import still_info
from fairy.media.write import VideoWriter, write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(make_frames(5), path, fps=10)
    return path


def test_plan_knows_the_clip_and_its_anchors(clip: Path):
    plan = plan_edit(
        EditRequest.of(clip, "  snow ", clip.with_name("out.mp4"), EditConfig(num_anchors=2))
    )
    assert plan.request.instruction == "snow"
    assert plan.info.num_frames == 5
    assert plan.anchor_indices == (1, 3)
    assert plan.shots == ((0, 5),)


@pytest.mark.parametrize("instruction", ["", "  \n"])
def test_empty_instruction_is_refused(clip: Path, instruction: str):
    with pytest.raises(InstructionError, match="the instruction is empty: say what to change"):
        plan_edit(EditRequest.of(clip, instruction, clip.with_name("out.mp4"), EditConfig()))


def test_the_clip_itself_is_no_output(clip: Path):
    with pytest.raises(SettingsError, match="the result would replace the clip to edit"):
        plan_edit(EditRequest.of(clip, "snow", clip, EditConfig(), overwrite=True))


def test_compare_must_not_replace_the_result(clip: Path):
    out = clip.with_name("out.mp4")
    with pytest.raises(SettingsError, match="--compare would replace the result"):
        plan_edit(EditRequest.of(clip, "snow", out, EditConfig(), compare=out, overwrite=True))


def test_report_is_not_replaced_unasked(clip: Path):
    report = clip.with_name("report.json")
    report.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"report\.json: already there: use --overwrite"):
        plan_edit(
            EditRequest.of(clip, "snow", clip.with_name("out.mp4"), EditConfig(), report=report)
        )
    assert report.read_text() == "mine"


def test_report_is_not_put_into_a_file(clip: Path):
    (clip.parent / "notes.txt").touch()
    report = clip.parent / "notes.txt" / "report.json"
    with pytest.raises(FairyError, match="is a file, not a folder"):
        plan_edit(
            EditRequest.of(clip, "snow", clip.with_name("out.mp4"), EditConfig(), report=report)
        )


def make_plan(clip: Path, *shots: tuple[int, int]) -> EditPlan:
    plan = plan_edit(EditRequest.of(clip, "snow", clip.with_name("out.mp4")))
    return replace(plan, shots=shots, anchors=tuple((first,) for first, _ in shots))


def test_segments_cover_the_clip_and_stay_within_their_shots(clip: Path):
    first, second = (0, 2 * SEGMENT_FRAMES + 5), (2 * SEGMENT_FRAMES + 5, 2 * SEGMENT_FRAMES + 7)
    segments = make_plan(clip, first, second).segments
    assert [one.end for one in segments[:-1]] == [one.first for one in segments[1:]]
    assert (segments[0].first, segments[-1].end) == (0, second[1])
    assert [(one.shot, one.anchors) for one in segments] == [(first, (0,))] * 3 + [
        (second, (second[0],))
    ]
    assert max(one.end - one.first for one in segments) == SEGMENT_FRAMES


def test_shots_of_an_untouched_clip_are_remembered(clip: Path, monkeypatch: pytest.MonkeyPatch):
    request = EditRequest.of(clip, "snow", clip.with_name("out.mp4"))
    plan = plan_edit(request)
    workspace = Workspace(request.out)
    workspace.path.mkdir()
    workspace.begin(replace(plan, shots=((0, 2), (2, 5))).manifest())

    monkeypatch.setattr(fairy.jobs.shots, "find_shots", lambda *clip: ((0, 5),))
    fairy.jobs.shots._found.clear()
    assert plan_edit(request).shots == ((0, 2), (2, 5))
    write_video(make_frames(5, seed=1), clip, fps=10, overwrite=True)
    assert plan_edit(request).shots == ((0, 5),)


def test_a_remembered_clip_is_not_read_for_its_hash(clip: Path, monkeypatch: pytest.MonkeyPatch):
    plan = plan_edit(EditRequest.of(clip, "snow", clip.with_name("out.mp4")))
    earlier = json.loads(plan.manifest().to_json())
    monkeypatch.setattr(fairy.jobs.manifest, "_content", lambda files: pytest.fail("read again"))
    assert replace(plan, earlier=earlier).manifest().differences(earlier) == []


def test_a_path_may_be_relative_or_absolute(clip: Path, monkeypatch: pytest.MonkeyPatch):
    out, side = clip.with_name("out.mp4"), clip.with_name("side.mp4")
    earlier = json.loads(
        plan_edit(EditRequest.of(clip, "snow", out, compare=side)).manifest().to_json()
    )
    monkeypatch.chdir(clip.parent)
    again = plan_edit(EditRequest.of("clip.mp4", "snow", "out.mp4", compare="side.mp4"))
    assert again.manifest().differences(earlier) == []


@pytest.mark.parametrize(("name", "step_s"), [("out.gif", 700), ("out.mp4", 2**28)])
def test_frames_too_far_apart_are_refused_before_the_model_is_loaded(
    tmp_path: Path, name: str, step_s: int
):
    source = tmp_path / "clip.mkv"
    info = still_info(source, 2, 48, 64, Fraction(25), "rgb24")
    with VideoWriter(source, info=info, height=48, width=64) as writer:
        for index in range(2):
            writer.write(np.zeros((48, 64, 3), np.uint8), index * step_s, Fraction(1))
    config = EditConfig(shots="off")
    with pytest.raises(MediaError, match=r"further apart in time than \.\w+ holds: use \.mkv"):
        plan_edit(EditRequest.of(source, "snow", tmp_path / name, config))
    plan_edit(EditRequest.of(source, "snow", tmp_path / "out.mkv", config))
