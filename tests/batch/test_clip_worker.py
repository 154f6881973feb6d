"""One worker of a list: what failed, what is tried again, and what must be the same for all."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import fsspec
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

import fairy.batch.clip_worker
import fairy.batch.runner
import fairy.batch.shared_worker
import fairy.jobs.retries
from fairy.batch.answers import WorkerIdentity
from fairy.batch.clip_worker import DEVICE_LOST, ClipWorker
from fairy.batch.joblist import Job, make_job
from fairy.batch.runner import failure_kind
from fairy.batch.shared_list import SharedBatch
from fairy.batch.shared_worker import run_free_jobs
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import FairyError, MediaError, WorkspaceInUseError
from fairy.interrupt import Cancel
from fairy.jobs.workspace import Workspace
from fairy.settings import BatchOptions, EditConfig

CONFIG = EditConfig(size=32, num_inference_steps=1, frame_batch_size=2, shots="off")
ME = WorkerIdentity("one", {"fairy": "1", "torch": "2", "platform": "Linux-1"}, "a")


def caused(error: FairyError, cause: Exception) -> FairyError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MediaError("damaged"), "input"),
        (caused(MediaError("no room"), OSError(errno.ENOSPC, "full")), "storage"),
        (caused(MediaError("no such folder"), OSError(errno.ENOENT, "none")), "input"),
        (WorkspaceInUseError("busy"), "busy"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "device"),
        (ConnectionResetError(), "storage"),
        (ZeroDivisionError(), "bug"),
    ],
)
def test_what_failed(error: Exception, kind: str):
    assert failure_kind(error) == kind


def test_workers_on_other_machines_of_the_same_kind_are_alike():
    assert ME.difference(replace(ME, host="two", versions={**ME.versions, "platform": "b"})) is None


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (WorkerIdentity("two", {**ME.versions, "torch": "3"}, "a"), "torch 2 on one, 3 on two"),
        (WorkerIdentity("two", {"fairy": "1"}, "a"), "torch 2 on one, None on two"),
        (WorkerIdentity("two", ME.versions, "b"), "model a on one, b on two"),
    ],
)
def test_what_differs_between_workers(other: WorkerIdentity, message: str):
    assert ME.difference(other) == message


def test_a_result_is_uploaded_again_if_the_storage_fails(
    clip: Path, worker: ClipWorker, monkeypatch: pytest.MonkeyPatch
):
    put, calls = MemoryFileSystem.put_file, []

    def flaky(*args: object, **options: object) -> None:
        calls.append(args)
        if len(calls) < 3:
            raise OSError("503 Slow Down")
        put(*args, **options)

    monkeypatch.setattr(MemoryFileSystem, "put_file", flaky)
    entries = {"input": str(clip), "instruction": "make it snow", "output": "a.mp4"}
    result = worker.edit(make_job(1, entries, CONFIG, into="memory://clip-worker"))
    assert (result.state, result.output) == ("done", "memory://clip-worker/a.mp4")
    assert fsspec.filesystem("memory").size("/clip-worker/a.mp4") > 0


def test_a_worker_waits_for_another_that_still_writes_the_output(
    clip: Path, worker: ClipWorker, monkeypatch: pytest.MonkeyPatch
):
    entries = {"input": str(clip), "instruction": "make it snow", "output": str(clip) + "-a.mp4"}
    job = make_job(1, entries, CONFIG)
    with ExitStack() as other:
        other.enter_context(Workspace(job.out))
        monkeypatch.setattr(fairy.batch.clip_worker.time, "sleep", lambda seconds: other.close())
        assert worker.edit(job).state == "done"


def test_what_never_becomes_free_is_reported(
    clip: Path, worker: ClipWorker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fairy.batch.clip_worker, "BUSY_S", 0.0)
    entries = {"input": str(clip), "instruction": "make it snow", "output": str(clip) + "-a.mp4"}
    job = make_job(1, entries, CONFIG)
    with Workspace(job.out):
        assert worker.edit(job).kind == "busy"


@pytest.fixture
def led(clip: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job that another worker leads."""
    monkeypatch.setattr(fairy.batch.clip_worker, "is_led", lambda request, lease_s: True)
    entries = {"input": str(clip), "instruction": "make it snow", "output": str(clip) + "-a.mp4"}
    return make_job(1, entries, CONFIG)


def failing_help(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[object]:
    """Make help fail; return the models that it was given."""
    given: list[object] = []

    def fail(*args: object, editor: object, lease_s: float) -> None:
        given.append(editor)
        raise error

    monkeypatch.setattr(fairy.batch.clip_worker, "help_edit", fail)
    return given


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero\nin a kernel"), MemoryError()])
def test_who_cannot_help_says_so_in_one_line_and_tries_again_later(
    worker: ClipWorker,
    led: Job,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    given = failing_help(monkeypatch, error)
    assert not worker.help(led)
    assert not worker.help(led)
    assert len(given) == 1
    (record,) = caplog.records
    assert record.message.startswith(f"{led.source_name}: cannot help: {type(error).__name__}: ")
    assert "\n" not in record.message
    assert record.exc_info is None
    monkeypatch.setattr(fairy.batch.clip_worker, "HELP_AGAIN_S", 0.0)
    worker._help_again_s.clear()
    worker.help(led)
    worker.help(led)
    assert len(given) == 3


def test_a_helper_without_memory_gets_a_fresh_model(
    worker: ClipWorker, led: Job, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    loaded: list[EditConfig] = []
    load = lambda config: loaded.append(config) or pipe  # noqa: E731
    monkeypatch.setattr(fairy.batch.runner, "load_editor", load)
    monkeypatch.setattr(fairy.batch.clip_worker, "HELP_AGAIN_S", 0.0)
    failing_help(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    assert [worker.help(led), worker.help(led)] == [False, False]
    assert len(loaded) == 2


def test_a_helper_whose_gpu_fails_ends(
    worker: ClipWorker, led: Job, monkeypatch: pytest.MonkeyPatch
):
    ended: list[int] = []
    monkeypatch.setattr(fairy.batch.clip_worker.os, "_exit", ended.append)
    failing_help(monkeypatch, RuntimeError("CUDA error: an illegal memory access"))
    assert not worker.help(led)
    assert ended == [DEVICE_LOST]


def test_segments_of_a_worker_that_was_lost_elsewhere_are_free_after_the_lease(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(fairy.batch.runner, "load_editor", lambda config: pipe)
    line = {"input": str(clip), "instruction": "make it snow", "output": str(tmp_path / "a.mp4")}
    job = make_job(1, line, CONFIG)
    claims = job.request.workspace.claims
    claims.mkdir(parents=True)
    lost = {"host": "elsewhere", "pid": 1, "started": 0.0, "given_back": False}
    for name in (
        "leader-batch-0a1b2c3d-1-0.0",
        "ready-batch-0a1b2c3d-1-0.0",
        "00000000-00000004.0",
    ):
        (claims / name).write_text(json.dumps(lost))
        os.utime(claims / name, (time.time() - 100,) * 2)
    cancel = Cancel()
    worker = ClipWorker(split_frames=2, cancel=cancel, lease_s=50)
    assert not worker.help(job)
    timer = threading.Timer(60, cancel.set)
    timer.start()
    assert worker.edit(job).state == "done"
    timer.cancel()


def test_the_lease_of_a_list_is_the_one_of_segments(
    clip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    made = Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(fairy.batch.shared_worker, "ClipWorker", made)
    options = BatchOptions(cluster="shared", out=str(tmp_path / "out"), lease=7.0)
    batch = SharedBatch(path=tmp_path / "jobs.jsonl", defaults=CONFIG, options=options)
    with pytest.raises(KeyboardInterrupt):
        run_free_jobs(batch, {}, Mock(), Cancel())
    assert made.call_args.kwargs["lease_s"] == 7.0
