"""Outputs are written in segments of fixed bounds, and published whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fairy.jobs.outputs
from fairy.jobs.outputs import ClipOutputs
from fairy.jobs.plan import EditPlan, plan_edit
from fairy.jobs.workspace import Workspace
from fairy.media.info import Frame
from fairy.media.read import probe, read_frames
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

NUM_FRAMES = 10
SIZE = (48, 64)


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairy.jobs.outputs, "SEGMENT_FRAMES", 4)


def make_plan(folder: Path, name: str) -> EditPlan:
    clip = folder / "clip.mp4"
    if not clip.exists():
        write_video(make_frames(NUM_FRAMES, *SIZE), clip, fps=10)
    return plan_edit(clip, "snow", folder / name, EditConfig(shots="off"))


def write(plan: EditPlan, workspace: Workspace, num_frames: int) -> None:
    """Write the first frames of the clip from where the workspace's segments end, unedited."""
    with ClipOutputs(plan, SIZE, None, workspace) as outputs:
        for frame in frames_of(plan, workspace.num_encoded, num_frames):
            outputs.write(frame, frame.image)


def frames_of(plan: EditPlan, first: int, end: int) -> list[Frame]:
    return list(read_frames(plan.info.path))[first:end]


def write_and_fail(plan: EditPlan, workspace: Workspace, num_frames: int) -> None:
    """Write so many frames, let them be encoded, and fail."""
    outputs = ClipOutputs(plan, SIZE, None, workspace)
    for frame in frames_of(plan, workspace.num_encoded, num_frames):
        outputs._encode((frame, frame.image))
    with pytest.raises(RuntimeError), outputs:
        raise RuntimeError


def test_a_failure_keeps_finished_segments_and_nothing_else(tmp_path: Path):
    plan = make_plan(tmp_path, "out.mp4")
    with Workspace(plan.out) as workspace:
        write_and_fail(plan, workspace, 7)
        assert [path.name for path in workspace.segments("result")] == [
            "result-00000000-00000004.segment"
        ]
    assert not plan.out.exists()


def test_frames_after_the_finished_segments_complete_the_file(tmp_path: Path):
    plan = make_plan(tmp_path, "out.mp4")
    with Workspace(plan.out) as workspace:
        write_and_fail(plan, workspace, 7)
        write(plan, workspace, NUM_FRAMES)
    found, expected = list(read_frames(plan.out)), frames_of(plan, 0, NUM_FRAMES)
    assert [frame.time_s for frame in found] == [frame.time_s for frame in expected]
    for a, b in zip(found, expected, strict=True):
        assert np.abs(a.image.astype(int) - b.image).mean() < 4


def test_kept_frames_are_dropped_once_they_are_in_a_segment(tmp_path: Path):
    plan = make_plan(tmp_path, "out.mp4")
    with Workspace(plan.out) as workspace:
        workspace.keep_frames(0, make_frames(3))
        workspace.keep_frames(3, make_frames(3))
        write_and_fail(plan, workspace, 5)
        assert (workspace.num_encoded, workspace.num_done) == (4, 6)
        assert not list(workspace.path.glob("frames-00000000-*"))


def test_a_clip_with_fewer_frames_than_counted_is_still_written(tmp_path: Path):
    plan = make_plan(tmp_path, "out.mp4")
    with Workspace(plan.out) as workspace:
        write(plan, workspace, NUM_FRAMES - 1)
    assert probe(plan.out).num_frames == NUM_FRAMES - 1


@pytest.mark.parametrize("name", ["out.gif", "out"])
def test_what_cannot_be_joined_is_written_in_one_go(tmp_path: Path, name: str):
    plan = make_plan(tmp_path, name)
    with Workspace(plan.out) as workspace:
        workspace.keep_frames(0, make_frames(8))
        write_and_fail(plan, workspace, 7)
        assert (workspace.num_encoded, workspace.num_done) == (0, 8)
        assert not plan.out.exists()
        write(plan, workspace, NUM_FRAMES)
    assert probe(plan.out).num_frames == NUM_FRAMES
