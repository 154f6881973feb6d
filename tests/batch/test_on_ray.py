"""A list on Ray, with real actors: whoever dies or hangs, every job ends, and none is begun twice.

Run by `make test-cluster`: Ray's processes take a minute to start and end on two cores.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairy.batch.answers import JobResult, WorkerIdentity
from fairy.batch.ledger import Ledger
from fairy.batch.shared import run_shared_batch
from fairy.batch.shared_list import RECORDS, SharedBatch
from fairy.errors import ModelError, SettingsError
from fairy.media.read import probe, read_video
from fairy.media.write import write_video
from fairy.settings import BatchOptions, EditConfig
from tests.batch.ray_workers import BUSY_S, NUM_FRAMES, Other, Real, StandIn, notes
from tests.tiny import make_frames

pytestmark = pytest.mark.cluster
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'fairy-video[cluster]'")
from fairy.batch import on_ray  # noqa: E402
from fairy.batch.on_ray import run_ray_batch  # noqa: E402

EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_data.py"
CONFIG = EditConfig(size=32, num_inference_steps=1, seed=4, frame_batch_size=2, shots="off")
SMALL = {"include_dashboard": False, "log_to_driver": False, "object_store_memory": 100 * 2**20}


@pytest.fixture(scope="module")
def started() -> Iterator[None]:
    """Ray on this machine, with two workers' places."""
    ray.init("local", num_cpus=2, logging_level="error", **SMALL)
    yield
    ray.shutdown()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(make_frames(NUM_FRAMES, 32, 48), path, fps=10)
    return path


def make_list(clip: Path, *names: str) -> Path:
    jobs = [{"input": str(clip), "instruction": "make it snow", "output": name} for name in names]
    path = clip.with_name("jobs.jsonl")
    path.write_text("\n".join(json.dumps(job) for job in jobs))
    return path


def batch_of(clip: Path, *names: str, **options: object) -> SharedBatch:
    made = BatchOptions(cluster="ray", out=str(clip.with_name("out")), order="given", **options)  # type: ignore[arg-type]
    return SharedBatch(path=make_list(clip, *names), defaults=CONFIG, options=made)


def run(batch: SharedBatch, worker: type) -> dict[str, JobResult]:
    results = run_ray_batch(batch, on_result=lambda result: None, worker_class=worker)
    return {Path(result.output).name: result for result in results}


def times_begun(batch: SharedBatch) -> Counter[str]:
    return Counter(name for name, _ in notes(Path(batch.root)))


def test_a_killed_worker_costs_one_more_try_and_the_files_are_those_of_one_process(
    started: None, clip: Path
):
    batch = batch_of(clip, "a.mp4", "once.mp4", "b.mp4")
    results = run(batch, Real)
    assert {name: result.state for name, result in results.items()} == {
        "a.mp4": "done", "once.mp4": "done", "b.mp4": "done",
    }  # fmt: skip
    assert times_begun(batch) == {"a.mp4": 1, "once.mp4": 2, "b.mp4": 1}
    alone = SharedBatch(path=batch.path, defaults=CONFIG, options=BatchOptions(out=f"{clip}-alone"))
    run_shared_batch(alone, on_result=lambda result: None)
    for name in results:
        made = [Path(root, name).read_bytes() for root in (batch.root, alone.root)]
        assert made[0] == made[1]
    assert len(read_video(Path(batch.root, "once.mp4"))) == NUM_FRAMES


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_poison_job_is_set_aside_and_harms_no_other(started: None, clip: Path, deaths: int):
    others = [f"{number}.mp4" for number in range(2 * deaths)]
    batch = batch_of(clip, "poison.mp4", *others, workers=deaths, max_attempts=deaths)
    results = run(batch, StandIn)
    poison = results.pop("poison.mp4")
    assert (poison.state, poison.kind) == ("failed", "worker")
    assert poison.error is not None
    assert re.match(rf"{deaths} workers? died with it", poison.error)
    assert {result.state for result in results.values()} == {"done"}
    assert times_begun(batch) == {"poison.mp4": deaths} | dict.fromkeys(others, 1)


def test_what_has_ended_is_not_begun_again(started: None, clip: Path):
    batch = batch_of(clip, "a.mp4", "b.mp4")
    run(batch, StandIn)
    before = times_begun(batch)
    assert {result.state for result in run(batch, StandIn).values()} == {"done"}
    assert times_begun(batch) == before == {"a.mp4": 1, "b.mp4": 1}


def test_a_failure_that_is_not_the_jobs_is_tried_again(started: None, clip: Path):
    batch = batch_of(clip, "memory.mp4", "a.mp4", max_attempts=3)
    result = run(batch, StandIn)["memory.mp4"]
    assert (result.state, result.kind) == ("failed", "memory")
    assert times_begun(batch) == {"memory.mp4": 3, "a.mp4": 1}


def test_a_frozen_worker_ends_by_its_deadline(started: None, clip: Path):
    batch = batch_of(clip, "freeze.mp4", "a.mp4", clip_timeout=4.0)
    began = time.monotonic()
    results = run(batch, StandIn)
    assert {result.state for result in results.values()} == {"done"}
    assert times_begun(batch)["freeze.mp4"] == 2
    assert time.monotonic() - began < 64
    frozen = next(int(pid) for name, pid in notes(Path(batch.root)) if name == "freeze.mp4")
    with pytest.raises(ProcessLookupError):
        os.kill(frozen, 0)


def test_a_frozen_worker_is_replaced_without_a_deadline_and_a_busy_one_is_not(
    started: None, clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(on_ray, "ASK_S", BUSY_S / 12)
    monkeypatch.setattr(on_ray, "MAX_UNANSWERED", 6)
    batch = batch_of(clip, "freeze.mp4", "busy.mp4", workers=2)
    results = run(batch, StandIn)
    assert {result.state for result in results.values()} == {"done"}
    assert times_begun(batch) == {"freeze.mp4": 2, "busy.mp4": 1}
    (replaced,) = [one for one in caplog.records if "does not answer" in one.message]
    frozen_s = Path(batch.root, "freeze.frozen").stat().st_mtime
    # Six questions in three seconds, while the machine may be busy
    assert 2 < replaced.created - frozen_s < 60


def test_workers_of_other_versions_are_refused_before_the_first_job(started: None, clip: Path):
    batch = batch_of(clip, "a.mp4", "b.mp4", workers=2)
    with pytest.raises(SettingsError, match=r"^the workers differ: torch 2\.\d+ on here, 2\.\d+"):
        run(batch, Other)
    assert times_begun(batch) == {}


def test_a_model_that_cannot_be_loaded_sets_aside_its_jobs_alone(started: None, clip: Path):
    class Picky(StandIn):
        def identity(self, config: EditConfig) -> WorkerIdentity:
            if config.model == "bad":
                raise ModelError("bad: no such model")
            return super().identity(config)

    batch = batch_of(clip, "a.mp4", "b.mp4", "c.mp4", workers=2)
    lines = [json.loads(line) for line in batch.path.read_text().splitlines()]
    lines[0]["model"] = "bad"
    batch.path.write_text("\n".join(map(json.dumps, lines)))
    results = run(batch, Picky)
    assert (results["a.mp4"].kind, results["a.mp4"].error) == ("input", "bad: no such model")
    assert [results[name].state for name in ("b.mp4", "c.mp4")] == ["done", "done"]
    assert times_begun(batch) == {"b.mp4": 1, "c.mp4": 1}


def test_a_worker_that_never_lives_stops_the_list(started: None, clip: Path):
    class Dies(StandIn):
        def identity(self, config: EditConfig) -> None:  # type: ignore[override]
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(on_ray.NoProgressError, match="was lost 4 times in a row"):
        run(batch_of(clip, "a.mp4"), Dies)


def test_a_long_clip_is_shared_by_two_workers(started: None, clip: Path):
    write_video(make_frames(240, 32, 48), clip, fps=10, overwrite=True)
    # The worker that has nothing left to do is there from the start
    batch = batch_of(clip, "skip.mp4", "long.mp4", workers=2, split_frames=100)
    assert run(batch, Real)["long.mp4"].state == "done"
    assert Path(batch.root, "helped.txt").exists()
    alone = SharedBatch(path=batch.path, defaults=CONFIG, options=BatchOptions(out=f"{clip}-alone"))
    run_shared_batch(alone, on_result=lambda result: None)
    made = [Path(root, "long.mp4").read_bytes() for root in (batch.root, alone.root)]
    assert made[0] == made[1]


def test_the_example_for_ray_data_edits_each_clip_and_reports_a_bad_one(
    started: None, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("pandas", reason="Ray Data is not installed: pip install 'ray[data]'")
    other, bad, out = (clip.with_name(name) for name in ("other.mp4", "bad.mp4", "out"))
    shutil.copy(clip, other)
    bad.write_bytes(b"not a clip")
    words = ["make it night", out, clip, bad, other, "--size", 64, "--steps", 1]
    monkeypatch.setattr(sys, "argv", ["ray_data.py", *map(str, words)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    lines = sorted(line for line in capsys.readouterr().out.splitlines() if str(out) in line)
    assert len(lines) == 3
    assert "bad.mp4: " in lines[0]
    assert lines[0].endswith(", 0 frames")
    for line, name in zip(lines[1:], (clip.name, other.name), strict=True):
        assert line == f"{out / name}: done, {NUM_FRAMES} frames"
        assert probe(out / name).num_frames == NUM_FRAMES


DRIVE = """
import sys
from tests.batch.test_on_ray import StandIn, batch_of, run
from pathlib import Path
run(batch_of(Path(sys.argv[1]), *sys.argv[2:], workers=2), StandIn)
"""


def test_a_killed_driver_has_no_finished_job_begun_again(clip: Path):
    names = [f"slow-{number}.mp4" for number in range(6)]
    command = [sys.executable, "-c", DRIVE, str(clip), *names]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen(command, env=environment)
    batch, until = batch_of(clip, *names, workers=2), time.monotonic() + 120
    while len(ended := Ledger(f"{batch.root}/{RECORDS}").ended()) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    driver.kill()
    driver.wait()
    before = times_begun(batch)
    assert subprocess.run(command, env=environment, timeout=120).returncode == 0
    after = times_begun(batch)
    records = Ledger(f"{batch.root}/{RECORDS}").status()
    assert (records.done, records.failed) == (len(names), 0)
    # Only those that were in work may have been begun twice
    assert sum((after - before).values()) <= len(names) - len(ended)


def test_a_lost_machine_is_not_charged_to_its_job(clip: Path):
    from ray.cluster_utils import Cluster

    if ray.is_initialized():
        ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **MACHINE})
    try:
        doomed = cluster.add_node(num_cpus=1, **MACHINE)
        cluster.add_node(num_cpus=1, **MACHINE)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        names = [f"slow-{number}.mp4" for number in range(8)]
        batch = batch_of(clip, *names, workers=2, max_attempts=1)

        def lose_machine(result: JobResult) -> None:
            if len(cluster.worker_nodes) == 2:
                cluster.remove_node(doomed, allow_graceful=False)

        results = run_ray_batch(batch, on_result=lose_machine, worker_class=StandIn)
        assert len(cluster.worker_nodes) == 1
        # One death would have set it aside
        assert [result.state for result in results] == ["done"] * len(names)
        assert sum(times_begun(batch).values()) <= len(names) + 1
    finally:
        ray.shutdown()
        cluster.shutdown()


MACHINE = {"include_dashboard": False, "object_store_memory": 100 * 2**20}
