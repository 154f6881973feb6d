"""Outputs are written in segments of fixed bounds and published whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import fairy.jobs.plan
from fairy.jobs.outputs import ClipOutputs
from fairy.jobs.plan import EditPlan, EditRequest, Segment, plan_edit
from fairy.jobs.workspace import Workspace
from fairy.media.read import probe, read_frames
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

NUM_FRAMES = 10
SIZE = (48, 64)


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairy.jobs.plan, "SEGMENT_FRAMES", 4)


def make_plan(folder: Path, name: str) -> EditPlan:
    clip = folder / "clip.mp4"
    if not clip.exists():
        write_video(make_frames(NUM_FRAMES, *SIZE), clip, fps=10)
    return plan_edit(EditRequest.of(clip, "snow", folder / name, EditConfig(shots="off")))


def write(
    outputs: ClipOutputs, plan: EditPlan, segments: Sequence[Segment], num_frames: int = NUM_FRAMES
) -> None:
    """Encode segments, unedited, as far as a clip of `num_frames` goes."""
    source = list(read_frames(plan.request.source))[:num_frames]
    with outputs:
        for segment in segments:
            for index in segment.indices:
                if index < num_frames:
                    outputs.write(segment, index, source[index], source[index].image)


def write_and_fail(plan: EditPlan, workspace: Workspace, num_frames: int) -> None:
    """Write so many frames, let them be encoded, and fail."""
    outputs = ClipOutputs(plan, SIZE, None, workspace)
    source = list(read_frames(plan.request.source))
    for segment in plan.segments:
        for index in segment.indices:
            if index < num_frames:
                outputs._encode((segment, index, source[index], source[index].image, 1.0))
    with pytest.raises(RuntimeError), outputs:
        raise RuntimeError


def spans(segments: Sequence[Segment]) -> list[tuple[int, int]]:
    return [(segment.first, segment.end) for segment in segments]


def test_a_failure_keeps_finished_segments_and_nothing_else(tmp_path: Path):
    plan = make_plan(tmp_path, "out.mp4")
    with Workspace(plan.request.out) as workspace:
        write_and_fail(plan, workspace, 7)
        assert [(part.first, part.end) for part in workspace.parts()] == [(0, 4)]
    assert not plan.request.out.exists()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_segments_in_any_order_are_joined_to_one_file(tmp_path: Path, order: tuple[int, ...]):
    plan = make_plan(tmp_path, "out.mp4")
    with Workspace(plan.request.out) as workspace:
        for number in order:
            outputs = ClipOutputs(plan, SIZE, None, workspace)
            assert plan.segments[number] in outputs.missing()
            write(outputs, plan, [plan.segments[number]])
        assert outputs.missing() == []
        outputs.join()
    found, expected = list(read_frames(plan.request.out)), list(read_frames(plan.request.source))
    assert [frame.time_s for frame in found] == [frame.time_s for frame in expected]
    for a, b in zip(found, expected, strict=True):
        assert np.abs(a.image.astype(int) - b.image).mean() < 4


def test_the_order_of_segments_leaves_no_trace_in_the_bytes(tmp_path: Path):
    contents = []
    for name, order in (("a.mp4", (0, 1, 2)), ("b.mp4", (2, 1, 0))):
        plan = make_plan(tmp_path, name)
        with Workspace(plan.request.out) as workspace:
            for number in order:
                outputs = ClipOutputs(plan, SIZE, None, workspace)
                write(outputs, plan, [plan.segments[number]])
            outputs.join()
        contents.append(plan.request.out.read_bytes())
    assert contents[0] == contents[1]


def test_kept_frames_are_dropped_once_they_are_in_a_segment(tmp_path: Path):
    plan = make_plan(tmp_path, "out.mp4")
    with Workspace(plan.request.out) as workspace:
        workspace.keep(0, make_frames(3))
        workspace.keep(4, make_frames(2))
        write_and_fail(plan, workspace, 5)
        assert workspace.num_done == 6
        assert list(workspace.kept(range(NUM_FRAMES))) == [4, 5]


@pytest.mark.parametrize("num_frames", [NUM_FRAMES - 1, 7])
def test_a_clip_with_fewer_frames_than_counted_is_still_written(tmp_path: Path, num_frames: int):
    plan = make_plan(tmp_path, "out.mp4")
    with Workspace(plan.request.out) as workspace:
        outputs = ClipOutputs(plan, SIZE, None, workspace)
        write(outputs, plan, plan.segments, num_frames)
        outputs.join()
    assert probe(plan.request.out).num_frames == num_frames


@pytest.mark.parametrize("name", ["out.gif", "out"])
def test_what_cannot_be_joined_is_written_in_one_go(tmp_path: Path, name: str):
    plan = make_plan(tmp_path, name)
    with Workspace(plan.request.out) as workspace:
        workspace.keep(0, make_frames(8))
        write_and_fail(plan, workspace, 7)
        assert workspace.num_done == 8
        assert not plan.request.out.exists()
        outputs = ClipOutputs(plan, SIZE, None, workspace)
        assert spans(outputs.missing()) == spans(plan.segments)
        write(outputs, plan, plan.segments)
        outputs.join()
    assert probe(plan.request.out).num_frames == NUM_FRAMES
