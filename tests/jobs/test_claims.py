"""Of any number of processes one gets a piece of work, and nothing stays claimed by the dead."""

from __future__ import annotations

import errno
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any, ClassVar
from uuid import uuid4

import fsspec
import psutil
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

import fairy.jobs.claims
import fairy.jobs.retries
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


def test_old_claims_with_a_plain_host_name_last_a_lease(claims: Claims, tmp_path: Path):
    put(tmp_path, Owner(socket.gethostname(), 1, 0.0))
    assert claims.take(WORK) is None


def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, boot: str, namespace: str) -> str:
    """Return the host of a process on a machine with this start and this PID namespace."""
    for name, path in (("MACHINE_ID", tmp_path / boot), ("PID_NAMESPACE", tmp_path / namespace)):
        path.write_text(path.name)
        monkeypatch.setattr(fairy.jobs.claims, name, path)
    return fairy.jobs.claims._host()


def test_machines_and_containers_with_one_host_name_differ(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    one = named(monkeypatch, tmp_path, "boot-1", "pid-1")
    assert one == named(monkeypatch, tmp_path, "boot-1", "pid-1")
    assert one != named(monkeypatch, tmp_path, "boot-2", "pid-1")
    assert one != named(monkeypatch, tmp_path, "boot-1", "pid-2")


def test_without_proc_the_host_name_is_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("MACHINE_ID", "PID_NAMESPACE"):
        monkeypatch.setattr(fairy.jobs.claims, name, tmp_path / "none")
    assert fairy.jobs.claims._host() == socket.gethostname()


def test_a_process_of_another_container_is_not_taken_for_dead(claims: Claims, tmp_path: Path):
    # Its process ID does not exist here
    put(tmp_path, Owner(f"{socket.gethostname()}.0123456789abcdef", 2**22 + 1, 5.0))
    assert claims.take(WORK) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_clock_that_steps_ends_no_process(monkeypatch: pytest.MonkeyPatch):
    me = Owner.me()
    create_time = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda one: create_time(one) + 3600)
    assert not me.has_ended


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_start_is_known_whatever_the_program_is_called(tmp_path: Path):
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    try:
        until = time.monotonic() + 10
        while "a) R 1" not in Path(f"/proc/{process.pid}/comm").read_text():
            assert time.monotonic() < until
        started_s = fairy.jobs.claims._started(process.pid) / os.sysconf("SC_CLK_TCK")
        assert started_s == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=30)
    finally:
        process.kill()
        process.wait()


class Slow(MemoryFileSystem):
    """Waits within each renewal of a claim, and fails on request."""

    cachable = False
    protocol = "slowmemory"
    is_writing, may_write = Event(), Event()
    num_failures = 0

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: object):
        if threading.current_thread().name == "claims":
            if Slow.num_failures:
                Slow.num_failures -= 1
                raise OSError("503 Slow Down")
            self.is_writing.set()
            assert self.may_write.wait(10)
        super().pipe_file(path, value, mode=mode)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Slow]]:
    fsspec.register_implementation("slowmemory", Slow, clobber=True)
    monkeypatch.setattr(Slow, "is_writing", Event())
    monkeypatch.setattr(Slow, "may_write", Event())
    yield Slow
    Slow.may_write.set()


def test_a_renewal_does_not_undo_what_was_given_back(slow: type[Slow]):
    root = f"slowmemory://{uuid4().hex}"
    with Claims(root, lease_s=0.1) as claims:
        claims.take(WORK)
        assert slow.is_writing.wait(10)
        thread = Thread(target=claims.give_back, args=(WORK,), kwargs={"died": True})
        thread.start()
        thread.join(0.2)
        slow.may_write.set()
        thread.join()
        time.sleep(0.2)
        (attempt,) = claims.attempts(WORK)
    assert (attempt.given_back, attempt.died) == (True, True)


def test_a_request_that_fails_does_not_end_the_signs_of_life(
    slow: type[Slow], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Slow, "num_failures", 3)
    slow.may_write.set()
    with Claims(f"slowmemory://{uuid4().hex}", lease_s=0.1) as claims:
        claims.take(WORK)
        assert slow.is_writing.wait(10)
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "a claim cannot be renewed: 503 Slow Down"
    ]


def test_a_renewal_does_not_bring_back_a_claim_that_was_deleted(tmp_path: Path):
    with Claims(tmp_path, lease_s=0.1) as claims:
        claims.take(WORK)
        path = tmp_path / f"{WORK}.0"
        path.unlink()
        time.sleep(0.2)
        assert not path.exists()


class Flaky(MemoryFileSystem):
    """Each request of one kind fails twice; what a lost one asked for may be done."""

    cachable = False
    protocol = "flakymemory"
    method, is_done = "", False
    left: ClassVar[list[int]] = []

    def __getattribute__(self, name: str) -> Any:
        answer = super().__getattribute__(name)
        if name != type(self).method:
            return answer

        def ask(*args: object, **options: object) -> Any:
            if self.left:
                self.left.pop()
                if self.is_done:
                    answer(*args, **options)
                raise OSError("503 Slow Down")
            return answer(*args, **options)

        return ask


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(fairy.jobs.retries, "FIRST_WAIT_S", 0.0)
    fsspec.register_implementation("flakymemory", Flaky, clobber=True)
    yield f"flakymemory://{uuid4().hex}"
    Flaky.method, Flaky.is_done = "", False
    Flaky.left.clear()


@pytest.mark.parametrize("method", ["pipe_file", "cat_file", "info", "modified", "ls", "rm_file"])
def test_requests_that_fail_are_made_again(flaky: str, method: str):
    Flaky.method = method
    with Claims(flaky, lease_s=1e3) as claims:
        for step in (
            claims.check_exclusive,
            partial(claims.take, WORK),
            partial(claims.take, WORK),
            claims.all,
            partial(claims._age_s, f"{claims._root}/{WORK}.0"),
            partial(claims.give_back, WORK),
        ):
            Flaky.left[:] = [1, 1]
            step()
        Flaky.left.clear()
        (attempt,) = claims.attempts(WORK)
        assert attempt.given_back


def test_a_claim_whose_confirmation_was_lost_is_this_process_s(flaky: str):
    Flaky.method, Flaky.is_done = "pipe_file", True
    with Claims(flaky) as claims, Claims(flaky) as other:
        Flaky.left[:] = [1]
        assert claims.take(WORK) == 0
        assert other.take(WORK) is None
        claims.give_back(WORK)
        assert other.take(WORK) == 1


def test_a_full_disk_leaves_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fairy.jobs.retries, "FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(fairy.jobs.claims, "open", FullDisk, raising=False)
    with Claims(tmp_path) as claims, pytest.raises(OSError, match="No space"):
        claims.take(WORK)
    assert list(tmp_path.iterdir()) == []


class FullDisk(io.FileIO):
    """A file that can be created, but not written."""

    def write(self, content: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")
