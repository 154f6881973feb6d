"""A process whose job hangs ends, and one that only takes long does not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fairy.batch.runner
from fairy.batch import watch
from fairy.batch.clip_worker import ClipWorker
from fairy.batch.joblist import make_job
from fairy.batch.watch import TIMED_OUT, ended_after, ended_if_stuck
from fairy.errors import SettingsError
from fairy.interrupt import Cancel
from fairy.jobs import word_masks
from fairy.jobs.outputs import ClipOutputs
from fairy.jobs.plan import EditPlan, EditRequest, plan_edit
from fairy.jobs.workspace import Workspace
from fairy.media.read import read_frames
from fairy.media.shots import CutFinder
from fairy.media.write import VideoWriter, write_video
from fairy.settings import BatchOptions, EditConfig
from tests.tiny import make_frames

STUCK_S = 0.3


class Ended:
    """The end of this process, which it notes instead."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self._came = threading.Event()

    def __call__(self, code: int) -> None:
        self.codes.append(code)
        self._came.set()

    def wait(self, timeout_s: float = 10) -> bool:
        return self._came.wait(timeout_s)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Ended:
    ended = Ended()
    monkeypatch.setattr(os, "_exit", ended)
    monkeypatch.setattr(watch, "STUCK_S", STUCK_S)
    monkeypatch.setattr(watch, "LOOK_S", 0.02)
    return ended


def test_a_block_that_hangs_ends_the_process(ended: Ended):
    with ended_if_stuck("clip.mp4", Cancel()):
        assert ended.wait()
    assert ended.codes == [TIMED_OUT]


def test_a_block_that_gets_on_may_take_long(ended: Ended):
    cancel = Cancel()
    with ended_if_stuck("clip.mp4", cancel):
        until = time.monotonic() + 3 * STUCK_S
        while time.monotonic() < until:
            cancel.check()
            time.sleep(0.01)
    assert not ended.wait(2 * STUCK_S)


@pytest.fixture
def plan(tmp_path: Path) -> EditPlan:
    """A clip of 12 frames in two segments, both encoded."""
    clip, out = tmp_path / "clip.mp4", tmp_path / "out.mp4"
    write_video(make_frames(12, 32, 48), clip, fps=10)
    plan = plan_edit(EditRequest.of(clip, "snow", out, EditConfig(shots="off")))
    plan = replace(plan, anchors=((0,), (6,)), shots=((0, 6), (6, 12)))
    with Workspace(out) as workspace:
        workspace.begin(plan.manifest())
        with ClipOutputs(plan, (32, 48), None, workspace) as outputs:
            frames = list(read_frames(clip))
            for segment in plan.segments:
                for index in segment.indices:
                    outputs.write(segment, index, frames[index], frames[index].image)
    return plan


def slowly(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method, made to take a quarter of the limit."""

    def slow(*args: Any, **options: Any) -> Any:
        time.sleep(STUCK_S / 4)
        return method(*args, **options)

    return slow


@pytest.mark.parametrize("mask", [None, "red car"])
def test_a_plan_that_looks_at_every_frame_may_take_long(
    ended: Ended, plan: EditPlan, monkeypatch: pytest.MonkeyPatch, mask: str | None
):
    likely = np.ones((32, 32), np.float32)
    find = slowly(lambda picture: likely)
    monkeypatch.setattr(word_masks, "Segmenter", lambda words, device: find)
    monkeypatch.setenv("XDG_CACHE_HOME", str(plan.request.out.parent / "cache"))
    monkeypatch.setattr(CutFinder, "add", slowly(CutFinder.add))
    config = EditConfig(mask=mask, shots="off" if mask else "auto")
    cancel, began = Cancel(), time.monotonic()
    with ended_if_stuck("clip.mp4", cancel):
        plan_edit(replace(plan.request, config=config), cancel)
    assert time.monotonic() - began > 2 * STUCK_S
    assert ended.codes == []


def test_joining_may_take_long(ended: Ended, plan: EditPlan, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(VideoWriter, "copy", slowly(VideoWriter.copy))
    cancel, began = Cancel(), time.monotonic()
    with Workspace(plan.request.out) as workspace, ended_if_stuck("clip.mp4", cancel):
        ClipOutputs(plan, (32, 48), None, workspace).join(cancel)
    assert time.monotonic() - began > 2 * STUCK_S
    assert ended.codes == []
    assert plan.request.out.exists()


def test_a_plan_that_hangs_ends_the_process(
    ended: Ended, plan: EditPlan, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(CutFinder, "add", lambda finder, frame: ended.wait())
    cancel = Cancel()
    with ended_if_stuck("clip.mp4", cancel):
        plan_edit(replace(plan.request, config=EditConfig()), cancel)
    assert ended.codes[:1] == [TIMED_OUT]


def test_a_limit_of_no_time_is_refused():
    with pytest.raises(SettingsError, match="clip_timeout"):
        BatchOptions(clip_timeout=0)


def test_a_block_that_takes_longer_than_the_limit_ends_the_process(ended: Ended):
    with ended_after("clip.mp4", None), ended_after("clip.mp4", 60):
        pass
    with ended_after("clip.mp4", 0.05):
        assert ended.wait()
    assert ended.codes == [TIMED_OUT]


@pytest.mark.parametrize(
    ("hangs", "clip_timeout", "ends"),
    [("run_edit", None, True), ("run_edit", 60.0, False), ("load_editor", None, False)],
)
def test_an_edit_that_hangs_ends_its_worker_but_loading_a_model_may_take_long(
    ended: Ended, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    hangs: str, clip_timeout: float | None, ends: bool,
):  # fmt: skip
    def hang(*args: Any, **options: Any) -> None:
        ended.wait(10 if ends else 3 * STUCK_S)

    pass_by: Callable[..., None] = lambda *args, **options: None  # noqa: E731
    for name in ("run_edit", "load_editor"):
        monkeypatch.setattr(fairy.batch.runner, name, hang if name == hangs else pass_by)
    entries = {"input": "clip.mp4", "instruction": "x", "output": str(tmp_path / "out.mp4")}
    worker = ClipWorker(clip_timeout=clip_timeout)
    worker.edit(make_job(1, entries, EditConfig()))
    assert ended.codes == [TIMED_OUT] * ends
