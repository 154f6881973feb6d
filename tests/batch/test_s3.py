"""A list whose records and outputs are on S3: a server on loopback, and the real client s3fs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from threading import Barrier

import pytest

import fairy.batch.runner
from fairy.batch.answers import JobResult
from fairy.batch.ledger import Ledger
from fairy.batch.shared import run_shared_batch
from fairy.batch.shared_list import SharedBatch
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.jobs.claims import Claims
from fairy.media.write import write_video
from fairy.settings import BatchOptions, EditConfig
from tests.batch import s3_stub
from tests.batch.s3_stub import Bucket
from tests.tiny import make_frames

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install s3fs")

DONE = JobResult(line=1, input="a", instruction="b", output="c", state="done", num_frames=8)
CONFIG = EditConfig(size=32, num_inference_steps=1, frame_batch_size=2, shots="off")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    with s3_stub.running() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        # Neither the user's settings nor the machine's role
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        # The client of the last test knows the address of its server
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        yield server


def test_one_of_many_gets_a_job(bucket: Bucket):
    with ExitStack() as stack, ThreadPoolExecutor(4) as threads:
        many = [stack.enter_context(Claims("s3://bucket/claims")) for _ in range(4)]
        many[0].check_exclusive()
        for turn in range(5):
            start = Barrier(len(many))

            def take(claims: Claims, name: str = f"job-{turn}", start: Barrier = start):
                start.wait()
                return claims.take(name)

            taken = list(threads.map(take, many))
            assert [number for number in taken if number is not None] == [0]


def test_records_are_read_by_others(bucket: Bucket):
    ledger = Ledger("s3://bucket/run")
    with ledger.claims:
        ledger.claims.take("a" * 16)
        ledger.record("a" * 16, "done", asdict(DONE))
        other = Ledger("s3://bucket/run")
        assert other.ended() == {"a" * 16: "done"}
        assert other.results(["a" * 16]) == [DONE]


def test_a_record_appears_whole_and_by_one_request(bucket: Bucket):
    Ledger("s3://bucket/run").record("a" * 16, "done", asdict(DONE))
    (name,) = (name for name in bucket.objects if "/done/" in name)
    assert name == f"bucket/run/done/aa/{'a' * 16}.json"
    assert json.loads(bucket.objects[name][0]) == asdict(DONE)


def test_a_server_that_is_busy_is_asked_again(bucket: Bucket):
    ledger = Ledger("s3://bucket/run")
    bucket.num_failures = 2
    ledger.record("a" * 16, "done", asdict(DONE))
    assert bucket.num_failures == 0
    assert ledger.ended() == {"a" * 16: "done"}


def test_a_claim_whose_confirmation_was_lost_is_this_process_s(bucket: Bucket):
    with Claims("s3://bucket/claims") as claims, Claims("s3://bucket/claims") as other:
        bucket.num_lost = 1
        assert claims.take("job") == 0
        assert bucket.num_lost == 0
        assert other.take("job") is None


def test_of_several_that_retry_at_once_one_runs_the_job_and_once(bucket: Bucket):
    with ExitStack() as stack, ThreadPoolExecutor(4) as threads:
        many = [Ledger("s3://bucket/run") for _ in range(4)]
        for ledger in many:
            stack.enter_context(ledger.claims)
        many[0].claims.take("a" * 16)
        many[0].record("a" * 16, "failed", asdict(DONE) | {"state": "failed"})
        start = Barrier(len(many))

        def run(ledger: Ledger) -> bool:
            start.wait()
            ledger.retry(["a" * 16])
            if ledger.claims.take("a" * 16) is None or ledger.has_ended("a" * 16):
                return False
            ledger.record("a" * 16, "done", asdict(DONE))
            return True

        assert sum(threads.map(run, many)) == 1
        assert many[1].ended() == {"a" * 16: "done"}


def test_a_list_continues_after_what_is_on_the_server(
    bucket: Bucket, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(fairy.batch.runner, "load_editor", lambda config: pipe)
    write_video(make_frames(4, 32, 48), tmp_path / "clip.mp4", fps=10)
    names, jobs = ["a.mp4", "b.mp4", "c.mp4"], tmp_path / "jobs.jsonl"
    line = {"input": str(tmp_path / "clip.mp4"), "instruction": "make it snow"}
    jobs.write_text("\n".join(json.dumps(line | {"output": name}) for name in names))
    options = BatchOptions(cluster="shared", out="s3://bucket/run")
    batch = SharedBatch(path=jobs, defaults=CONFIG, options=options)
    results = run_shared_batch(batch, on_result=lambda result: None)
    assert [result.state for result in results] == ["done"] * 3
    videos = {name: bucket.objects[f"bucket/run/{name}"] for name in names}
    assert all(content[4:8] == b"ftyp" for content, _ in videos.values())
    # As if one job had not been begun: only it is done then
    done = [name for name in bucket.objects if "/done/" in name]
    lost = next(name for name in done if b"b.mp4" in bucket.objects[name][0])
    for name in list(bucket.objects):
        if Path(lost).stem in name:
            del bucket.objects[name]
    again: list[JobResult] = []
    assert len(run_shared_batch(batch, on_result=again.append)) == 3
    assert [Path(result.output).name for result in again] == ["b.mp4"]
    assert bucket.objects["bucket/run/a.mp4"] == videos["a.mp4"]


def test_clips_are_on_the_server_too(
    bucket: Bucket, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(fairy.batch.runner, "load_editor", lambda config: pipe)
    write_video(make_frames(4, 32, 48), tmp_path / "clip.mp4", fps=10)
    names = [f"{number}.mp4" for number in range(6)]
    for name in names:
        content = (tmp_path / "clip.mp4").read_bytes()
        bucket.objects[f"bucket/clips/{name}"] = content, datetime.now(timezone.utc)
    jobs = tmp_path / "jobs.jsonl"
    lines = (
        {"input": f"s3://bucket/clips/{n}", "instruction": "make it snow", "output": n}
        for n in names
    )
    jobs.write_text("\n".join(map(json.dumps, lines)))
    options = BatchOptions(cluster="shared", out="s3://bucket/run")
    batch = SharedBatch(path=jobs, defaults=CONFIG, options=options)
    results = run_shared_batch(batch, on_result=lambda result: None)
    assert [result.state for result in results] == ["done"] * 6
    assert len({bucket.objects[f"bucket/run/{name}"][0] for name in names}) == 1
    # The folder of the clips is listed for the list as a whole, here and in the worker
    assert bucket.listed.count("clips/") <= 2


def test_the_records_are_not_listed_for_each_job(
    bucket: Bucket, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    jobs = tmp_path / "jobs.jsonl"
    line = {"input": "none.mp4", "instruction": "make it snow"}
    jobs.write_text("\n".join(json.dumps(line | {"output": f"{n}.mp4"}) for n in range(15)))
    options = BatchOptions(cluster="shared", out="s3://bucket/run")
    batch = SharedBatch(path=jobs, defaults=CONFIG, options=options)
    assert len(run_shared_batch(batch, on_result=lambda result: None)) == 15
    # Looking for one record lists its own name
    assert bucket.listed.count("run/.fairy/failed/") <= 4
