"""A list shared by processes: every job once and whole, whoever dies, and nothing runs for ever."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import fsspec
import pytest

import fairy.batch.runner
import fairy.batch.shared
import fairy.batch.shared_list
import fairy.jobs.ranks
from fairy.batch.answers import JobResult, result_of
from fairy.batch.clip_worker import ClipWorker
from fairy.batch.joblist import Job
from fairy.batch.ledger import Ledger
from fairy.batch.outcomes import NoProgressError
from fairy.batch.shared import run_shared_batch
from fairy.batch.shared_list import RECORDS, SharedBatch, check_list, jobs_by_id
from fairy.batch.watch import TIMED_OUT
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import SettingsError
from fairy.jobs.claims import Claims
from fairy.jobs.workspace import Workspace
from fairy.media.read import read_video
from fairy.media.write import write_video
from fairy.settings import BatchOptions, EditConfig
from tests.jobs.worker import start
from tests.tiny import make_frames

CONFIG = EditConfig(size=32, num_inference_steps=1, seed=4, frame_batch_size=2, shots="off")
OPTIONS = ["--size", 32, "--steps", 1, "--frame-batch-size", 2, "--shots", "off", "--seed", 4]
NUM_FRAMES = 6


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(make_frames(NUM_FRAMES, 32, 48), path, fps=10)
    return path


def write_list(clip: Path, *outputs: str, source: str | None = None) -> Path:
    path = clip.with_name("jobs.jsonl")
    jobs = [
        {"input": source or str(clip), "instruction": "make it snow", "output": out}
        for out in outputs
    ]
    path.write_text("\n".join(json.dumps(job) for job in jobs))
    return path


def run(
    pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch, jobs: Path, **options: object
) -> list[JobResult]:
    """Work on a list in this process."""
    monkeypatch.setattr(fairy.batch.runner, "load_editor", lambda config: pipe)
    made = BatchOptions(cluster="shared", **options)  # type: ignore[arg-type]
    batch = SharedBatch(path=jobs, defaults=CONFIG, options=made)
    return run_shared_batch(batch, on_result=lambda result: None)


def test_relative_outputs_are_below_the_root(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    out = clip.with_name("out")
    jobs = write_list(clip, "a.mp4", "deep/b.mp4")
    results = run(pipe, monkeypatch, jobs, out=str(out))
    assert sorted(result.state for result in results) == ["done", "done"]
    assert {path.name for path in out.rglob("*.mp4")} == {"a.mp4", "b.mp4"}


def test_without_a_root_the_records_are_beside_the_list(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    jobs = write_list(clip, str(clip.with_name("a.mp4")))
    assert [result.state for result in run(pipe, monkeypatch, jobs)] == ["done"]
    assert list(clip.with_name("jobs.jsonl.fairy").glob(".fairy/done/*/*.json"))


def test_an_address_gets_the_file_that_a_folder_gets(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    jobs, root = write_list(clip, "a.mp4"), f"memory://batch-{uuid4().hex}"
    run(pipe, monkeypatch, jobs, out=root)
    run(pipe, monkeypatch, jobs, out=str(clip.with_name("out")))
    fs, path = fsspec.core.url_to_fs(f"{root}/a.mp4")
    assert fs.cat_file(path) == clip.with_name("out").joinpath("a.mp4").read_bytes()


def test_what_has_ended_is_not_done_again(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    jobs, out = write_list(clip, "a.mp4"), clip.with_name("out")
    run(pipe, monkeypatch, jobs, out=str(out))
    before = (out / "a.mp4").stat().st_mtime_ns
    results = run(pipe, monkeypatch, jobs, out=str(out))
    assert [result.state for result in results] == ["done"]
    assert (out / "a.mp4").stat().st_mtime_ns == before


def test_a_job_that_fails_by_itself_is_set_aside_until_asked_for(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    late, out = clip.with_name("late.mp4"), str(clip.with_name("out"))
    jobs = write_list(clip, "a.mp4", source=str(late))
    (result,) = run(pipe, monkeypatch, jobs, out=out)
    assert result.error is not None
    assert "no such file" in result.error
    # The same job: what identifies it is read from the clip, which is not there in either case
    monkeypatch.setattr(fairy.batch.shared_list, "job_id", lambda job, clip: "0" * 16)
    (result,) = run(pipe, monkeypatch, jobs, out=out)
    assert result.state == "failed"
    clip.rename(late)
    (result,) = run(pipe, monkeypatch, jobs, out=out)
    assert result.state == "failed"
    (result,) = run(pipe, monkeypatch, jobs, out=out, retry_failed=True)
    assert result.state == "done"


def test_where_everything_fails_the_work_stops(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    outputs = [f"{number}.mp4" for number in range(30)]
    jobs = write_list(clip, *outputs, source="none.mp4")
    with pytest.raises(NoProgressError, match="the first 20 jobs all failed, the last one with"):
        run(pipe, monkeypatch, jobs, out=str(clip.with_name("out")))


class Failing:
    """Workers whose jobs all fail, four at a look."""

    def __init__(self, batch: SharedBatch) -> None:
        self._ledger = batch.ledger()
        self._left = list(jobs_by_id(batch, lambda result: None).items())
        self.num_failed = 0

    def forgive(self) -> None:
        """They never end."""

    def restart(self) -> None:
        for name, job in self._left[:4]:
            error = result_of(job, "failed", error="no such file")
            self._ledger.record(name, "failed", asdict(error))
        del self._left[:4]

    def leave(self) -> None:
        """They never end."""

    end = leave


def test_workers_in_processes_stop_too_where_everything_fails(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fairy.batch.shared, "_Workers", Failing)
    monkeypatch.setattr(fairy.batch.shared, "LOOK_S", 0.0)
    jobs = write_list(clip, *(f"{number}.mp4" for number in range(30)), source="none.mp4")
    out = clip.with_name("out")
    with pytest.raises(NoProgressError, match="the first 8 jobs all failed"):
        run(pipe, monkeypatch, jobs, out=str(out), workers=2, stop_after_failures=8)
    assert len(Ledger(f"{out}/{RECORDS}").ended()) < 30


@pytest.mark.parametrize(("state", "took_s"), [("done", 1.1), ("kept", 0.0)])
def test_what_another_did_while_a_worker_was_frozen_is_not_reported_again(
    clip: Path, monkeypatch: pytest.MonkeyPatch, state: Literal["done", "kept"], took_s: float
):
    jobs, out = write_list(clip, "a.mp4", "b.mp4"), clip.with_name("out")
    options = BatchOptions(cluster="shared", out=str(out), lease=1.0)
    batch = SharedBatch(path=jobs, defaults=CONFIG, options=options)
    numbered = {job.out_name: name for name, job in jobs_by_id(batch, lambda result: None).items()}

    def edit(worker: ClipWorker, job: Job) -> JobResult:
        result = result_of(job, state, num_frames=NUM_FRAMES)
        if job.out.name == "a.mp4":
            batch.ledger().record(numbered[job.out_name], "done", asdict(result))
            time.sleep(took_s)
        return result

    monkeypatch.setattr(ClipWorker, "edit", edit)
    reported: list[str] = []
    results = run_shared_batch(
        batch, on_result=lambda result: reported.append(Path(result.output).name)
    )
    assert reported == ["b.mp4"]
    assert len(results) == 2


def test_a_list_that_has_ended_starts_no_workers(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    jobs, out = write_list(clip, "a.mp4"), str(clip.with_name("out"))
    run(pipe, monkeypatch, jobs, out=out)
    monkeypatch.delattr(fairy.batch.shared, "_Workers")
    assert [result.state for result in run(pipe, monkeypatch, jobs, out=out, workers=2)] == ["done"]


def sleep_long(*ignored: object) -> None:
    time.sleep(600)


def test_a_frozen_worker_does_not_hold_a_list_that_has_ended(
    clip: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fairy.batch.shared, "_work_in_process", sleep_long)
    monkeypatch.setattr(fairy.batch.shared, "LEAVE_S", 0.1)
    jobs = write_list(clip, "a.mp4")
    batch = SharedBatch(path=jobs, defaults=CONFIG, options=BatchOptions(workers=1))
    workers = fairy.batch.shared._Workers(batch)
    (process,) = workers._processes
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    workers.leave()
    monkeypatch.setattr(fairy.jobs.ranks, "STOP_S", 0.1)
    workers.end()
    assert not process.is_alive()


def test_a_line_that_has_changed_is_done_again(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    jobs, out = write_list(clip, "a.mp4"), clip.with_name("out")
    run(pipe, monkeypatch, jobs, out=str(out))
    before = (out / "a.mp4").read_bytes()
    jobs.write_text(jobs.read_text().replace("snow", "rain"))
    assert [result.state for result in run(pipe, monkeypatch, jobs, out=str(out))] == ["done"]
    assert (out / "a.mp4").read_bytes() != before


def test_an_output_that_is_not_the_lists_own_is_kept(
    clip: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    jobs, out = write_list(clip, "a.mp4"), clip.with_name("out")
    out.mkdir()
    shutil.copy(clip, out / "a.mp4")
    assert [result.state for result in run(pipe, monkeypatch, jobs, out=str(out))] == ["kept"]
    jobs.write_text(jobs.read_text().replace("snow", "rain"))
    run(pipe, monkeypatch, jobs, out=str(out))
    assert (out / "a.mp4").read_bytes() == clip.read_bytes()


def test_workers_on_different_gpus_mean_the_same_jobs(clip: Path):
    jobs = write_list(clip, "a.mp4")
    names = [
        set(
            jobs_by_id(
                SharedBatch(
                    path=jobs, defaults=replace(CONFIG, device=device), options=BatchOptions()
                ),
                lambda result: None,
            )
        )
        for device in ("auto", "cuda:0", "cuda:1")
    ]
    assert names[0] == names[1] == names[2]


def test_an_address_needs_records_that_are_shared(clip: Path):
    batch = SharedBatch(path=clip, defaults=CONFIG, options=BatchOptions(out="s3://bucket/run"))
    with pytest.raises(SettingsError, match="add --cluster shared"):
        check_list(batch)


def command(jobs: Path, *more: object) -> list[object]:
    return ["batch", jobs, *OPTIONS, "-o", jobs.with_name("out"), "--cluster", "shared", *more]


def results_in(printed: str) -> list[dict[str, Any]]:
    """Return the results among lines of JSON; the others are about progress."""
    return [one for one in map(json.loads, printed.splitlines()) if "state" in one]


@pytest.mark.forks
def test_a_killed_worker_costs_nothing(clip: Path, tmp_path: Path):
    jobs = write_list(clip, *(f"{number}.mp4" for number in range(20)))
    workers = [start(command(jobs), tmp_path / f"{number}.txt") for number in range(2)]
    until = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*.mp4")):
        assert time.monotonic() < until
        time.sleep(0.01)
    workers[1].kill()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, -signal.SIGKILL]
    made = sorted((tmp_path / "out").glob("*.mp4"))
    assert len(made) == 20
    assert all(len(read_video(path)) == NUM_FRAMES for path in made)
    assert len({path.read_bytes() for path in made}) == 1
    done = [
        result["output"]
        for path in tmp_path.glob("?.txt")
        for result in results_in(path.read_text())
    ]
    assert len(done) == len(set(done))


@pytest.mark.forks
def test_a_job_that_kills_workers_is_set_aside_and_the_others_are_done(clip: Path, tmp_path: Path):
    jobs = write_list(clip, "a.mp4", "poison.mp4", "b.mp4")
    codes = []
    for number in range(4):
        worker = start(
            command(jobs, "--max-attempts", 2), tmp_path / f"{number}.txt",
            environment={"POISON": "poison.mp4"},
        )  # fmt: skip
        worker.join()
        codes.append(worker.exitcode)
        if worker.exitcode != -signal.SIGKILL:
            break
    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 3]
    assert {path.name for path in (tmp_path / "out").glob("*.mp4")} == {"a.mp4", "b.mp4"}
    status = start(["batch", "status", tmp_path / "out"], tmp_path / "status.txt")
    status.join()
    printed = (tmp_path / "status.txt").read_text()
    assert printed.startswith("2 done, 0 running, 1 failed")
    assert "2 workers died with it or took too long" in printed


@pytest.mark.forks
def test_a_worker_without_a_job_helps_with_a_long_clip(clip: Path, tmp_path: Path):
    write_video(make_frames(40, 32, 48), clip, fps=10, overwrite=True)
    jobs = write_list(clip, "long.mp4")
    alone, out = tmp_path / "alone.mp4", tmp_path / "out" / "long.mp4"
    one = start(["edit", clip, "make it snow", "-o", alone, *OPTIONS], tmp_path / "one.txt")
    one.join()
    words = command(jobs, "--split-frames", 20)
    workers = [start(words, tmp_path / f"{number}.txt") for number in range(2)]
    owners: set[int] = set()
    while any(worker.is_alive() for worker in workers):
        segments = Claims(Workspace(out).claims).all()
        owners |= {
            attempt.owner.pid
            for name, attempt in segments.items()
            if name[0].isdecimal() and attempt.owner is not None
        }
        time.sleep(0.01)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert owners == {worker.pid for worker in workers}
    assert out.read_bytes() == alone.read_bytes()
    done = [one for path in tmp_path.glob("?.txt") for one in results_in(path.read_text())]
    assert [result["state"] for result in done] == ["done"]


@pytest.mark.forks
def test_a_job_that_takes_too_long_ends_its_worker(clip: Path, tmp_path: Path):
    jobs = write_list(clip, "a.mp4")
    worker = start(command(jobs, "--clip-timeout", 0.01), tmp_path / "printed.txt")
    worker.join()
    assert worker.exitcode == TIMED_OUT


@pytest.mark.slow
@pytest.mark.forks
def test_workers_are_started(clip: Path, tmp_path: Path):
    jobs = write_list(clip, "a.mp4", "b.mp4")
    words = ["batch", jobs, *OPTIONS, "-o", tmp_path / "out", "--workers", 2]
    process = start(words, tmp_path / "printed.txt")
    process.join()
    printed = (tmp_path / "printed.txt").read_text()
    assert process.exitcode == 0, printed
    results = results_in(printed)
    assert [result["state"] for result in results] == ["done", "done"]
    assert len(list((tmp_path / "out").glob("*.mp4"))) == 2
