"""The records of a shared list: what is claimed, done, set aside; on any file system."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import fairy.jobs.claims
import fairy.jobs.retries
from fairy.batch.addresses import Listing
from fairy.batch.answers import JobResult
from fairy.batch.joblist import make_job
from fairy.batch.ledger import Ledger, State, clip_state, job_id
from fairy.errors import SettingsError
from fairy.jobs.claims import Claims
from fairy.settings import EditConfig

ID = "0123456789abcdef"
DONE = JobResult(
    line=1, input="a", instruction="b", output="c", state="done", num_frames=8, seconds=2
)
FAILED = JobResult(line=2, input="a", instruction="b", output="c", state="failed", error="no")


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path) if request.param == "folder" else f"memory://ledger-{uuid4().hex}"


def make(entries: dict[str, str], **settings: object) -> str:
    line = {"input": "a.mp4", "instruction": "make it snow", "output": "b.mp4"} | entries
    job = make_job(1, line, EditConfig(**settings))  # type: ignore[arg-type]
    return job_id(job, clip_state(job, Listing()))


def test_a_job_is_its_clip_instruction_settings_and_output():
    assert make({}) == make({})
    others = [
        make({"input": "other.mp4"}), make({"instruction": "make it night"}),
        make({"output": "other.mp4"}), make({"seed": "9"}), make({}, seed=9),
    ]  # fmt: skip
    assert make({}) not in others
    assert others[3] == others[4]


def test_a_clip_that_has_changed_is_another_job(tmp_path: Path):
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"1")
    before = make({"input": str(clip)})
    clip.write_bytes(b"12")
    assert make({"input": str(clip)}) != before


def test_what_was_recorded_is_read_by_others(root: str):
    Ledger(root).record(ID, "done", asdict(DONE))
    assert Ledger(root).ended() == {ID: "done"}
    assert Ledger(root).results([ID]) == [DONE]


def test_status_adds_up(root: str):
    ledger = Ledger(root)
    with ledger.claims:
        ledger.claims.take("f" * 16)
        ledger.record(ID, "done", asdict(DONE))
        ledger.record("1" * 16, "failed", asdict(FAILED))
        status = Ledger(root).status()
    assert (status.done, status.failed, status.running) == (1, 1, 1)
    assert status.frames_per_second == 4
    assert [record["error"] for record in status.failures] == ["no"]


def test_jobs_that_failed_are_tried_again_when_asked(root: str):
    ledger = Ledger(root)
    with ledger.claims:
        ledger.claims.take(ID)
        ledger.record(ID, "failed", asdict(FAILED))
        ledger.retry([ID])
        assert ledger.ended() == {}
        assert ledger.claims.take(ID) is not None
        assert not ledger.has_ended(ID)
        assert ledger.claims.take(ID) is None


def failed_ledger(root: str, num_deaths: int = 0) -> Ledger:
    """Records with a job that some workers died with, and that then failed."""
    ledger = Ledger(root)
    for _ in range(num_deaths):
        ledger.claims.take(ID)
        ledger.claims.give_back(ID, died=True)
    ledger.claims.take(ID)
    ledger.record(ID, "failed", asdict(FAILED))
    return ledger


def test_deaths_before_another_try_do_not_count(root: str):
    ledger = failed_ledger(root, num_deaths=3)
    assert ledger.num_deaths(ID) == 3
    ledger.retry([ID])
    assert ledger.num_deaths(ID) == 0
    ledger.claims.take(ID)
    ledger.claims.give_back(ID, died=True)
    assert ledger.num_deaths(ID) == 1


@pytest.mark.parametrize("num_deaths", [0, 2])
def test_of_several_that_retry_at_once_one_runs_the_job_and_once(root: str, num_deaths: int):
    failed_ledger(root, num_deaths)
    many = [Ledger(root) for _ in range(6)]
    start = Barrier(len(many))

    def run(ledger: Ledger) -> bool:
        start.wait()
        ledger.retry([ID])
        if ledger.claims.take(ID) is None or ledger.has_ended(ID):
            return False
        ledger.record(ID, "done", asdict(DONE))
        return True

    with ThreadPoolExecutor(len(many)) as threads:
        assert sum(threads.map(run, many)) == 1
    assert many[0].ended() == {ID: "done"}


def test_a_slow_retry_deletes_neither_a_live_claim_nor_a_later_failure(
    root: str, monkeypatch: pytest.MonkeyPatch
):
    first = failed_ledger(root)
    slow, worker = Ledger(root), Ledger(root)
    reopen = slow.claims.reopen

    def overtaken(name: str, number: int) -> None:
        first.retry([ID])
        assert worker.claims.take(ID) is not None
        reopen(name, number)
        assert first.claims.take(ID) is None
        worker.record(ID, "failed", asdict(FAILED))

    monkeypatch.setattr(slow.claims, "reopen", overtaken)
    slow.retry([ID])
    assert slow.ended() == {ID: "failed"}
    monkeypatch.undo()
    slow.retry([ID])
    assert slow.ended() == {}
    assert first.claims.take(ID) is not None


@pytest.mark.parametrize("num_requests", range(6))
def test_a_retry_that_is_killed_can_be_given_again(
    root: str, num_requests: int, monkeypatch: pytest.MonkeyPatch
):
    failed_ledger(root, num_deaths=2)
    left, killed = [1] * num_requests, Ledger(root)

    def until_killed(call: Callable[[], Any]) -> Any:
        def once(*args: Any, **options: Any) -> Any:
            if not left:
                raise KeyboardInterrupt
            left.pop()
            return call(*args, **options)

        return once

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(killed.claims, "_create", until_killed(killed.claims._create))
        patch.setattr(killed.claims, "_read", until_killed(killed.claims._read))
        patch.setattr(killed, "_delete", until_killed(killed._delete))
        killed.retry([ID])
    again = Ledger(root)
    assert again.claims.newest(ID) == again.claims.all()[ID]
    again.retry([ID])
    assert (again.ended(), again.num_deaths(ID)) == ({}, 0)
    assert again.claims.take(ID) is not None


def test_a_claim_of_a_retry_that_was_killed_while_writing_it_is_no_death(
    root: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fairy.jobs.claims, "EMPTY_S", 0.5)
    ledger = failed_ledger(root, num_deaths=2)
    ledger.claims._fs.pipe_file(f"{ledger.claims._root}/{ID}.3", b"")
    ledger.retry([ID])
    assert (ledger.ended(), ledger.num_deaths(ID)) == ({}, 0)
    assert ledger.claims.take(ID) is not None


def test_another_worker_at_work_is_left_alone_by_a_retry(root: str):
    ledger, other = failed_ledger(root), Ledger(root)
    # The first lost its claim before it failed
    path = f"{ledger.claims._root}/{ID}.0"
    record = json.loads(ledger.claims._fs.cat_file(path))
    ledger.claims._fs.pipe_file(path, json.dumps(record | {"given_back": True}).encode())
    assert other.claims.take(ID) == 1
    ledger.retry([ID])
    assert ledger.ended() == {}
    assert ledger.claims.take(ID) is None


@pytest.mark.parametrize("state", ["done", "failed"])
@pytest.mark.parametrize("content", [b"", b'{"line": 1', b"\0" * 40, b"null", b"\xff"])
def test_a_damaged_record_is_no_record(
    root: str, content: bytes, state: State, caplog: pytest.LogCaptureFixture
):
    ledger = Ledger(root)
    ledger.record("f" * 16, "done", asdict(DONE))
    ledger.record(ID, state, asdict(DONE))
    path = f"{ledger._root}/{state}/{ID[:2]}/{ID}.json"
    ledger._fs.pipe_file(path, content)
    for _ in range(2):
        status = ledger.status()
        assert (status.done, status.failed) == (1, 0)
    assert len(caplog.records) == (1 if content else 0)
    assert ledger.results([ID, "f" * 16]) == [DONE]
    if not content or "memory" not in root:
        assert Ledger(root).ended() == {"f" * 16: "done"}
        assert not ledger.has_ended(ID)
    ledger.record(ID, state, asdict(DONE))
    assert ledger.has_ended(ID)
    assert ledger.results([ID]) == [DONE]


def test_a_job_that_is_done_has_not_failed(root: str):
    ledger = Ledger(root)
    ledger.record(ID, "failed", asdict(FAILED))
    ledger.record(ID, "done", asdict(DONE))
    assert ledger.ended() == {ID: "done"}
    assert ledger.results([ID]) == [DONE]
    status = ledger.status()
    assert (status.done, status.failed) == (1, 0)


def test_a_folder_that_cannot_be_listed_at_once_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fairy.jobs.retries, "FIRST_WAIT_S", 0.0)
    ledger = Ledger(str(tmp_path))
    ledger.record(ID, "done", asdict(DONE))
    scandir, left = os.scandir, [1]

    def flaky(folder: str) -> Any:
        if folder.endswith(f"/{ID[:2]}") and left:
            left.pop()
            raise OSError(errno.EIO, "Input/output error")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", flaky)
    assert ledger.ended() == {ID: "done"}
    assert not left


@pytest.mark.parametrize("method", ["pipe_file", "cat_file", "info", "find", "rm_file", "makedirs"])
def test_requests_that_fail_are_made_again(method: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fairy.jobs.retries, "FIRST_WAIT_S", 0.0)
    fs, left = fairy.jobs.claims.file_system("memory://")[0], list[int]()
    ask = getattr(fs, method)

    def flaky(*args: Any, **options: Any) -> Any:
        if left:
            left.pop()
            raise OSError("503 Slow Down")
        return ask(*args, **options)

    monkeypatch.setattr(fs, method, flaky)
    root = f"memory://ledger-{uuid4().hex}"
    left[:] = [1, 1]
    ledger = Ledger(root)
    for step in (
        lambda: ledger.claims.take(ID),
        lambda: ledger.record(ID, "failed", asdict(FAILED)),
        lambda: ledger.has_ended(ID) or pytest.fail("it has"),
        ledger.status,
        lambda: Ledger.of_existing(root, "a"),
        lambda: ledger.results([ID]),
        lambda: ledger.retry([ID]),
    ):
        left[:] = [1, 1]
        step()
    left.clear()
    assert ledger.ended() == {}


def test_a_ledger_that_is_not_there(tmp_path: Path):
    with pytest.raises(SettingsError, match="no shared list was run there"):
        Ledger.of_existing(str(tmp_path / "none"), "none")
    assert not (tmp_path / "none").exists()


class Workers(RuleBasedStateMachine):
    """Workers that claim, finish, give back, die and set aside, in any order."""

    JOBS = tuple(f"{number:016x}" for number in range(3))
    MAX_DEATHS = 2

    def __init__(self) -> None:
        super().__init__()
        self.root = f"memory://machine-{uuid4().hex}"
        self.ledger = Ledger(self.root)
        self.holders: dict[str, list[Claims]] = {name: [] for name in self.JOBS}
        self.deaths = dict.fromkeys(self.JOBS, 0)

    @rule(name=st.sampled_from(JOBS))
    def claim(self, name: str) -> None:
        claims = Ledger(self.root).claims
        number = claims.take(name)
        held = bool(self.holders[name])
        assert (number is None) == held or name in self.ledger.ended()
        if number is not None:
            self.holders[name].append(claims)

    @rule(name=st.sampled_from(JOBS))
    def give_back(self, name: str) -> None:
        for claims in self.holders[name]:
            claims.give_back(name)
        self.holders[name] = []

    @rule(name=st.sampled_from(JOBS))
    def die(self, name: str) -> None:
        """The owner's process ends: its record names one that is not there."""
        for claims in self.holders[name]:
            newest = claims.newest(name)
            assert newest is not None
            dead = claims._fs.cat_file(newest.path).replace(b'"pid": ', b'"pid": 9')
            claims._fs.pipe_file(newest.path, dead)
            claims.keep(name)
            self.deaths[name] += 1
        self.holders[name] = []

    @rule(name=st.sampled_from(JOBS))
    def finish(self, name: str) -> None:
        if self.holders[name]:
            self.ledger.record(name, "done", asdict(DONE))

    @invariant()
    def never_two_at_once(self) -> None:
        assert all(len(claims) <= 1 for claims in self.holders.values())

    @invariant()
    def deaths_are_counted(self) -> None:
        for name in self.JOBS:
            assert self.ledger.num_deaths(name) == self.deaths[name]


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
