"""Workers killed at random moments: nothing is lost, and a kill costs at most one segment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fairy.batch.answers import JobResult
from fairy.batch.ledger import Ledger
from tests.batch import soak
from tests.batch.soak import LENGTHS, Faults, Round, expected_digests
from tests.jobs.worker import segments_redone

# What the rounds below "make" of a clip, which no worker edits
EXPECTED = {length: hashlib.sha256(b"%d" % length).hexdigest() for length in LENGTHS}


@pytest.mark.cluster
@pytest.mark.forks
def test_a_kill_costs_at_most_one_segment(tmp_path: Path):
    expected = expected_digests(tmp_path)
    one = Round(tmp_path, seed=1, num_jobs=20)
    one.run_with_kills(10)
    assert one.kinds == {"kill": 10}
    assert one.faults(expected) == Faults()
    assert one.num_redone <= 10


@pytest.mark.forks
def test_an_undisturbed_list_makes_the_files_of_single_edits(tmp_path: Path):
    one = Round(tmp_path, seed=1, num_jobs=2)
    one.run(60)
    assert one.faults(expected_digests(tmp_path, set(one.jobs.values()))) == Faults()


def record(folder: Path, name: str, state: str = "done") -> None:
    result = JobResult(line=1, input="a", instruction="b", output=str(folder / "out" / name),
                       state="failed" if state == "failed" else "done")  # fmt: skip
    ledger = Ledger(str(folder / "out" / ".fairy"))
    ledger.record(f"{int(name.partition('.')[0]):016x}", result.state, json.loads(result.to_json()))
    with (folder / "worker-1.txt").open("a") as file:
        file.write(f"{result.to_json()}\n")


@pytest.fixture
def ended(tmp_path: Path) -> Round:
    """A list of which all is as it should be, but for job 0, which has no record."""
    one = Round(tmp_path, seed=1, num_jobs=4)
    for name, length in one.jobs.items():
        (tmp_path / "out" / name).write_bytes(b"%d" % length)
        if name != "0.mp4":
            record(tmp_path, name)
    return one


def plant_nothing(folder: Path) -> None:
    record(folder, "0.mp4")


def plant_a_wrong_file(folder: Path) -> None:
    record(folder, "0.mp4")
    (folder / "out" / "0.mp4").write_bytes(b"half")


def plant_a_missing_file(folder: Path) -> None:
    record(folder, "0.mp4")
    (folder / "out" / "0.mp4").unlink()


def plant_a_lost_job(folder: Path) -> None:
    """It stays without a record, though its file is there."""


def plant_a_job_set_aside(folder: Path) -> None:
    record(folder, "0.mp4", "failed")


def plant_a_second_report(folder: Path) -> None:
    record(folder, "0.mp4")
    printed = folder / "worker-1.txt"
    (folder / "worker-2.txt").write_text(printed.read_text().splitlines()[-1])


def plant_work_left_behind(folder: Path) -> None:
    record(folder, "0.mp4")
    (folder / "out" / "0.mp4.fairy").mkdir()


def plant_a_second_edit(folder: Path) -> None:
    record(folder, "0.mp4")
    (folder / "begun.txt").write_text("0.mp4.fairy 0\n0.mp4.fairy 0\n")


PLANTED: list[tuple[Callable[[Path], None], Faults]] = [
    (plant_nothing, Faults()),
    (plant_a_wrong_file, Faults(wrong=("0.mp4",))),
    (plant_a_missing_file, Faults(lost=("0.mp4",))),
    (plant_a_lost_job, Faults(lost=("0.mp4",))),
    (plant_a_job_set_aside, Faults(lost=("0.mp4",))),
    (plant_a_second_report, Faults(done_twice=("0.mp4",))),
    (plant_work_left_behind, Faults(left_behind=("0.mp4.fairy",))),
    (plant_a_second_edit, Faults(redone_in_vain=1)),
]


@pytest.mark.parametrize(("plant", "faults"), PLANTED)
def test_what_is_wrong_with_a_list_is_found(
    ended: Round, tmp_path: Path, plant: Callable[[Path], None], faults: Faults
):
    plant(tmp_path)
    assert ended.faults(EXPECTED) == faults


@pytest.mark.parametrize(("plant", "faults"), PLANTED)
def test_the_counts_are_printed_before_the_soak_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    plant: Callable[[Path], None], faults: Faults,
):  # fmt: skip
    def run(one: Round, every_s: float) -> None:
        for name, length in one.jobs.items():
            (one._folder / "out" / name).write_bytes(b"%d" % length)
            if name != "0.mp4":
                record(one._folder, name)
        plant(one._folder)

    monkeypatch.setattr(soak, "expected_digests", lambda folder: EXPECTED)
    monkeypatch.setattr(Round, "run", run)
    code = soak.main(["--seconds", "0.001"])
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {name: printed[name] for name in faults.counts} == faults.counts
    assert code == (faults != Faults())


def test_a_list_that_never_ends_counts_its_jobs_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(soak, "ROUND_S", 0.0)
    one = Round(tmp_path, seed=1, num_jobs=3)
    one.run(1)
    assert one.faults(EXPECTED) == Faults(lost=("0.mp4", "1.mp4", "2.mp4"))


def test_redone_segments_are_counted(tmp_path: Path):
    begun = tmp_path / "begun.txt"
    # Segments have 5 frames: two of the first are begun again, one of the second twice
    numbers = [0, 1, 2, 3, 0, 1, 7, 7, 7, 12]
    begun.write_text("".join(f"a.mp4.fairy {number}\n" for number in numbers) + "b.mp4.fairy 0\n")
    assert segments_redone(begun) == 1 + 2
