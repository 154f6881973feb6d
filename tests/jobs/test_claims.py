"""Of any number of processes one gets a piece of work, and nothing stays claimed by the dead."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from uuid import uuid4

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

from fairy.errors import SettingsError
from fairy.jobs.claims import Claims, Owner, may_live

WORK = "00000000-00000048"
TAKE = f"""
import sys
from fairy.jobs.claims import Claims
print(Claims(sys.argv[1]).take("{WORK}"), flush=True)
"""


@pytest.fixture
def claims(tmp_path: Path) -> Iterator[Claims]:
    with Claims(tmp_path) as one:
        yield one


def put(folder: Path, owner: Owner, number: int = 0) -> Path:
    """Write a claim as another process would."""
    path = folder / f"{WORK}.{number}"
    path.write_text(json.dumps({**vars(owner), "given_back": False}))
    return path


def test_one_of_many_gets_it(tmp_path: Path):
    with ExitStack() as stack, ThreadPoolExecutor(8) as threads:
        many = [stack.enter_context(Claims(tmp_path)) for _ in range(8)]
        for turn in range(50):
            start = Barrier(8)

            def take(claims: Claims, name: str = f"work-{turn}", start: Barrier = start):
                start.wait()
                return claims.take(name)

            taken = list(threads.map(take, many))
            assert [number for number in taken if number is not None] == [0]


def test_file_systems_that_create_exclusively_are_accepted(tmp_path: Path):
    for root in (str(tmp_path), f"memory://{uuid4().hex}"):
        Claims(root).check_exclusive()
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_only_looks_before_it_writes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", AbstractFileSystem.pipe_file)
    with pytest.raises(SettingsError, match=r"^memory:// cannot create files exclusively"):
        Claims(f"memory://{uuid4().hex}").check_exclusive()


def test_a_file_system_that_overwrites_is_refused(monkeypatch: pytest.MonkeyPatch):
    claims = Claims(f"memory://{uuid4().hex}")
    monkeypatch.setattr(claims, "_create", lambda path, content: None)
    with pytest.raises(SettingsError, match=r"^memory:// cannot create files exclusively"):
        claims.check_exclusive()


def test_what_was_given_back_is_the_next_attempt_of_another(claims: Claims, tmp_path: Path):
    claims.take(WORK)
    claims.give_back(WORK)
    with Claims(tmp_path) as other:
        assert other.take(WORK) == 1
        assert claims.take(WORK) is None


def test_leaving_gives_back(tmp_path: Path, claims: Claims):
    with Claims(tmp_path) as other:
        other.take(WORK)
    assert claims.take(WORK) == 1


def test_what_is_done_stays_claimed_as_long_as_its_process_lives(tmp_path: Path, claims: Claims):
    with Claims(tmp_path) as other:
        other.take(WORK)
        other.keep(WORK)
    assert claims.take(WORK) is None


def test_a_process_that_has_ended_holds_nothing(claims: Claims, tmp_path: Path):
    command = [sys.executable, "-c", TAKE, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "0\n"
    assert claims.take(WORK) == 1


def test_another_process_with_the_same_number_is_not_the_owner(claims: Claims, tmp_path: Path):
    me = Owner.me()
    put(tmp_path, Owner(me.host, me.pid, me.started - 1000))
    assert claims.take(WORK) == 1


def test_a_frozen_process_loses_its_claim_after_a_lease(tmp_path: Path):
    path = put(tmp_path, Owner.me())
    with Claims(tmp_path, lease_s=0.2) as claims:
        assert claims.take(WORK) is None
        time.sleep(0.3)
        assert claims.take(WORK) == 1
    assert path.exists()


def test_another_machine_s_claim_lasts_a_lease_after_its_last_sign_of_life(tmp_path: Path):
    path = put(tmp_path, Owner("elsewhere", 1, 0.0))
    with Claims(tmp_path, lease_s=0.5) as claims:
        assert claims.take(WORK) is None
        time.sleep(0.4)
        path.touch()
        time.sleep(0.3)
        assert claims.take(WORK) is None
        time.sleep(0.4)
        assert claims.take(WORK) == 1


def test_signs_of_life_are_given_while_work_is_claimed(tmp_path: Path):
    with Claims(tmp_path, lease_s=0.1) as claims:
        claims.take(WORK)
        before = (tmp_path / f"{WORK}.0").stat().st_mtime_ns
        time.sleep(0.3)
        assert (tmp_path / f"{WORK}.0").stat().st_mtime_ns > before


def test_a_claim_that_is_being_written_is_respected(claims: Claims, tmp_path: Path):
    (tmp_path / f"{WORK}.0").touch()
    assert claims.take(WORK) is None


def test_the_newest_attempt_counts(claims: Claims, tmp_path: Path):
    for number in range(12):
        put(tmp_path, Owner("elsewhere", 1, 0.0), number)
    assert [attempt.number for attempt in claims.attempts(WORK)] == list(range(12))
    assert claims.newest(WORK) == claims.all()[WORK] == claims.attempts(WORK)[11]


def test_work_in_a_folder_that_is_gone_cannot_be_claimed(tmp_path: Path):
    with pytest.raises(FileNotFoundError), Claims(tmp_path / "gone") as claims:
        claims.take(WORK)


def test_claims_are_also_kept_in_other_file_systems():
    with Claims("memory://claims-test") as one, Claims("memory://claims-test") as other:
        assert one.take(WORK) == 0
        assert other.take(WORK) is None


def test_a_name_shows_whether_its_process_may_be_alive():
    me = Owner.me()
    assert may_live(me.name)
    assert not may_live(Owner(me.host, me.pid, me.started - 1000).name)
    assert may_live(Owner("elsewhere", me.pid, 0.0).name)
