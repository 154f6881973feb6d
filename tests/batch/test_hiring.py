"""Which workers a list on Ray hires, keeps and gives up, with actors that run in this process.

`FakeRay` stands in for the few functions of Ray that hand out calls, so that the order in which
calls end is that of the test. Real actors are in tests/batch/test_on_ray.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from fairy.batch.answers import JobResult, WorkerIdentity, result_of
from fairy.batch.joblist import Job
from fairy.batch.shared import NoProgressError, SharedBatch
from fairy.errors import ModelError, SettingsError
from fairy.settings import BatchOptions, EditConfig
from fairy.system import versions

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fairy-video[cluster]'")
from ray.exceptions import RayActorError, RayTaskError  # noqa: E402

from fairy.batch import on_ray, ray_cluster  # noqa: E402
from fairy.batch.on_ray import run_ray_batch, workers_to_hire  # noqa: E402

CONFIG = EditConfig()


class DiedError(Exception):
    """Ends the worker that raises it."""


class Call:
    """A call of an actor's method; its answer comes after so many looks."""

    def __init__(self, answer: Any, num_looks: int) -> None:
        self.answer, self.num_looks = answer, num_looks


class Method:
    """A method of an actor."""

    def __init__(self, call: Callable[..., Any], num_looks: Callable[..., int]) -> None:
        self._call, self._num_looks = call, num_looks

    def options(self, **options: str) -> Method:
        return self

    def remote(self, *args: Any) -> Call:
        try:
            answer = self._call(*args)
        except DiedError:
            answer = RayActorError()
        except Exception as error:
            failed = RayTaskError("a call", "its traceback", error, "actor", 1, "127.0.0.1")
            answer = failed.as_instanceof_cause()
        return Call(answer, self._num_looks(*args))


class Actor:
    """An actor around a worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        introduced = getattr(worker, "looks_introduction", never_late)
        self.__ray_call__ = Method(
            lambda call, *args: call(worker, *args), lambda *args: introduced()
        )
        self.__ray_ready__ = Method(lambda: True, lambda: 0)

    def __getattr__(self, name: str) -> Method:
        return Method(
            getattr(self._worker, name), getattr(self._worker, f"looks_{name}", never_late)
        )


def never_late(*args: object) -> int:
    return 0


class FakeRay:
    """The functions of Ray that hand out calls."""

    @staticmethod
    def wait(calls: list[Call], **options: object) -> tuple[list[Call], list[Call]]:
        for call in calls:
            call.num_looks -= 1
        return [call for call in calls if call.num_looks < 0], []

    @staticmethod
    def get(call: Call) -> object:
        if isinstance(call.answer, Exception):
            raise call.answer
        return call.answer

    @staticmethod
    def kill(actor: Actor) -> None:
        pass

    @staticmethod
    def is_initialized() -> bool:
        return True

    @staticmethod
    def nodes() -> list[dict[str, object]]:
        return [{"NodeID": "node", "Alive": True, "NodeManagerAddress": "", "NodeManagerPort": 0}]

    @staticmethod
    def get_runtime_context() -> SimpleNamespace:
        return SimpleNamespace(get_node_id=lambda: "node")


class Worker:
    """A worker that edits nothing; a job's output says how many looks it takes, as in a-3.mp4."""

    num_hired = 0
    begun: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        type(self).num_hired += 1

    def identity(self, config: EditConfig) -> WorkerIdentity:
        return WorkerIdentity("here", versions(), "stand-in")

    def num_frames(self, job: Job) -> int:
        return 0

    def edit(self, job: Job) -> JobResult:
        self.begun[job.out.name] += 1
        return result_of(job, "done", num_frames=1)

    def looks_edit(self, job: Job) -> int:
        return int(job.out.stem.partition("-")[2] or 0)


@pytest.fixture(autouse=True)
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Actors in this process, and no waiting."""
    monkeypatch.setattr(on_ray, "ray", FakeRay)
    monkeypatch.setattr(ray_cluster, "ray", FakeRay)
    monkeypatch.setattr(ray_cluster, "_answers", lambda address: True)
    hired = lambda worker, options: (lambda: Actor(worker()), "a CPU")  # noqa: E731
    monkeypatch.setattr(on_ray, "hiring", hired)
    monkeypatch.setattr(on_ray, "NODE_DEATH_S", -1.0)
    monkeypatch.setattr(on_ray, "LOOK_S", 0.01)


def run(
    folder: Path, worker: type[Worker], *names: str, models: tuple[str, ...] = (), **options: Any
) -> dict[str, JobResult]:
    """Run a list with an output for each name; return the results by output."""
    worker.num_hired, worker.begun = 0, Counter()
    clip, path = folder / "clip.mp4", folder / "jobs.jsonl"
    clip.touch()
    jobs = [{"input": str(clip), "instruction": "make it snow", "output": name} for name in names]
    for job, model in zip(jobs, models, strict=False):
        job["model"] = model
    path.write_text("\n".join(map(json.dumps, jobs)))
    made = BatchOptions(cluster="ray", out=str(folder / "out"), order="given", **options)
    batch = SharedBatch(path=path, defaults=CONFIG, options=made)
    results = run_ray_batch(batch, on_result=lambda result: None, worker_class=worker)
    return {Path(result.output).name: result for result in results}


@pytest.mark.parametrize(
    ("num_jobs", "num_idle", "num_empty", "change"),
    [
        (0, 0, 0, 0),
        (9, 0, 4, 4),
        (3, 1, 4, 2),
        (1, 1, 4, 0),
        (0, 1, 4, -1),
        (1, 3, 0, -2),
    ],
)
def test_workers_are_hired_for_jobs_and_dismissed_without(
    num_jobs: int, num_idle: int, num_empty: int, change: int
):
    assert workers_to_hire(num_jobs, num_idle, num_empty) == change


def test_at_the_end_of_a_list_nobody_is_hired(tmp_path: Path):
    # The second place is empty when the first worker becomes idle
    results = run(tmp_path, Worker, "a-4.mp4", "b-0.mp4", "c-12.mp4", workers=3)
    assert {result.state for result in results.values()} == {"done"}
    assert Worker.num_hired == 3


class LongWorker(Worker):
    """A worker whose jobs named long have help, which fails."""

    error: ClassVar[Exception]
    helped = 0

    def num_frames(self, job: Job) -> int:
        return 5000 if job.out.name.startswith("long") else 10

    def help(self, job: Job) -> bool:
        type(self).helped += 1
        raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero\nin a kernel"), DiedError()])
def test_a_helper_that_fails_or_dies_stops_no_list_and_rests(
    tmp_path: Path,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setattr(on_ray, "is_led", lambda request, lease_s: True)
    LongWorker.error, LongWorker.helped = error, 0
    results = run(tmp_path, LongWorker, "a-0.mp4", "long-20.mp4", workers=2)
    assert {result.state for result in results.values()} == {"done"}
    assert LongWorker.helped == 1
    (record,) = (one for one in caplog.records if "cannot help" in one.message)
    assert record.message.startswith(f"{tmp_path / 'clip.mp4'}: cannot help: ")
    assert "\n" not in record.message


def test_dying_helpers_do_not_use_up_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(on_ray, "is_led", lambda request, lease_s: True)
    monkeypatch.setattr(on_ray, "HELP_AGAIN_S", 0.0)
    LongWorker.error, LongWorker.helped = DiedError(), 0
    results = run(tmp_path, LongWorker, "a-0.mp4", "long-40.mp4", workers=2)
    assert {result.state for result in results.values()} == {"done"}
    # Each of these workers was replaced
    assert LongWorker.helped > on_ray.MAX_DEATHS_IN_A_ROW
    assert LongWorker.num_hired == 2 + LongWorker.helped


class Picky(Worker):
    """A worker that cannot load models named bad."""

    def identity(self, config: EditConfig) -> WorkerIdentity:
        if config.model.startswith("bad"):
            raise ModelError(f"{config.model}: no such model")
        return super().identity(config)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_model_that_cannot_be_loaded_sets_aside_its_jobs_alone(tmp_path: Path, num_workers: int):
    names = [f"{number}-{number}.mp4" for number in range(5)]
    models = ("bad-1", "bad-2", "good", "bad-1", "other")
    results = run(
        tmp_path, Picky, *names, models=models, workers=num_workers, stop_after_failures=2
    )
    for name, model in zip(names, models, strict=True):
        result, is_bad = results[name], model.startswith("bad")
        assert result.state == ("failed" if is_bad else "done")
        assert result.kind == ("input" if is_bad else None)
        assert result.error == (f"{model}: no such model" if is_bad else None)
        assert Picky.begun[name] == (not is_bad)
    assert Picky.num_hired == num_workers


def test_if_no_model_can_be_loaded_all_jobs_are_set_aside(tmp_path: Path):
    results = run(tmp_path, Picky, "a.mp4", "b.mp4", models=("bad-1", "bad-2"), workers=2)
    assert {result.kind for result in results.values()} == {"input"}
    assert Picky.begun == {}


def test_a_long_list_whose_model_cannot_be_loaded_stops(tmp_path: Path):
    names = [f"{number}.mp4" for number in range(9)]
    with pytest.raises(NoProgressError, match=r"first 3 jobs all failed.*bad: no such model"):
        run(tmp_path, Picky, *names, models=("bad",) * 9, stop_after_failures=3)


def test_a_model_that_only_some_workers_can_load_sets_no_job_aside(tmp_path: Path):
    class Second(Worker):
        def __init__(self) -> None:
            super().__init__()
            self._is_bad = Second.num_hired == 1

        def identity(self, config: EditConfig) -> WorkerIdentity:
            if self._is_bad:
                raise ModelError("not on this machine")
            return super().identity(config)

        def looks_introduction(self) -> int:
            return 0 if self._is_bad else 5

    with pytest.raises(SettingsError, match=r"^the workers differ: one cannot load the model: not"):
        run(tmp_path, Second, "a.mp4", "b.mp4", workers=2)
    assert Second.begun == {}
    assert not list(tmp_path.rglob("failed/*/*.json"))


def test_workers_that_cannot_run_fairy_stop_the_list(tmp_path: Path):
    class Broken(Worker):
        def identity(self, config: EditConfig) -> WorkerIdentity:
            raise ImportError("no such library")

    with pytest.raises(SettingsError, match="a worker cannot begin: no such library"):
        run(tmp_path, Broken, "a.mp4")


def test_workers_are_compared_by_the_first_model_that_loads(tmp_path: Path):
    class Differs(Picky):
        def __init__(self) -> None:
            super().__init__()
            self._number = Differs.num_hired

        def identity(self, config: EditConfig) -> WorkerIdentity:
            return replace(super().identity(config), model=str(self._number))

    with pytest.raises(SettingsError, match="the workers differ: model 1 on here, 2 on here"):
        run(tmp_path, Differs, "a.mp4", "b.mp4", models=("bad", "good"), workers=2)
    assert Differs.begun == {}


def test_what_a_late_worker_answers_to_a_model_given_up_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Late(Worker):
        """The first worker cannot load a model that the second loads after it was given up."""

        def __init__(self) -> None:
            super().__init__()
            self._is_first = Late.num_hired == 1

        def identity(self, config: EditConfig) -> WorkerIdentity:
            if self._is_first and config.model == "bad":
                raise ModelError("not on this machine")
            return replace(super().identity(config), model=config.model)

        def looks_introduction(self) -> int:
            return 0 if self._is_first else 3

    monkeypatch.setattr(on_ray, "COMPARE_S", 0.0)
    names = ["a-0.mp4", "b-0.mp4", "c-9.mp4", "d-9.mp4"]
    models = ("bad", "good", "good", "good")
    results = run(tmp_path, Late, *names, models=models, workers=2)
    states = [results[name].state for name in names]
    assert states == ["failed", "done", "done", "done"]
