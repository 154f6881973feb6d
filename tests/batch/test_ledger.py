"""The records of a shared list: what is claimed, done, set aside; on any file system."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fairy.batch.addresses import Listing
from fairy.batch.answers import JobResult
from fairy.batch.joblist import make_job
from fairy.batch.ledger import Ledger, clip_state, job_id
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
        assert ledger.claims.take(ID) == 0


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
