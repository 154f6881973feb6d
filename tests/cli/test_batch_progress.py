"""How far a shared list is: counted over all workers, shown on a terminal or as JSON lines."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from uuid import uuid4

import pytest
from rich.console import Console

import fairy.cli.batch_progress
from fairy.batch.answers import JobResult
from fairy.batch.ledger import Ledger
from fairy.cli.batch_progress import BatchMeter, BatchView

NAMES = [f"{number:016x}" for number in range(4)]
DONE = JobResult(line=1, input="a", instruction="b", output="c", state="done", num_frames=8)
FAILED = JobResult(line=2, input="[a].mp4", instruction="b", output="c", state="failed", error="no")


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(f"memory://progress-{uuid4().hex}")


def test_jobs_that_other_processes_ended_count(ledger: Ledger):
    ledger.record(NAMES[0], "done", asdict(DONE))
    meter = BatchMeter(ledger, NAMES)
    assert meter.counts().left_s is None
    Ledger(ledger.root).record(NAMES[1], "done", asdict(DONE))
    ledger.record(NAMES[2], "failed", asdict(FAILED))
    # A job of another list with the same records
    ledger.record("f" * 16, "done", asdict(DONE))
    counts = meter.counts()
    assert (counts.jobs, counts.done, counts.failed) == (4, 2, 1)
    assert counts.left_s is not None


def test_without_a_terminal_results_and_progress_are_json_lines(ledger: Ledger):
    out, err = io.StringIO(), io.StringIO()
    with BatchView(Console(file=out), Console(file=err)).shown() as view:
        view.watch(ledger, NAMES)
        for name in NAMES:
            ledger.record(name, "done", asdict(DONE))
        view.result(DONE)
        view.result(FAILED)
    assert [json.loads(line)["state"] for line in out.getvalue().splitlines()] == ["done", "failed"]
    first, last = (json.loads(line)["progress"] for line in err.getvalue().splitlines())
    assert (first["jobs"], first["done"]) == (4, 0)
    assert (last["jobs"], last["done"]) == (4, 4)


def test_a_terminal_shows_counts_and_failures_with_their_line(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fairy.cli.batch_progress, "COUNT_S", 0.01)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    with BatchView(console, console).shown() as view:
        view.watch(ledger, NAMES)
        ledger.record(NAMES[0], "done", asdict(DONE))
        ledger.record(NAMES[1], "failed", asdict(FAILED))
        view.result(DONE)
        view.result(FAILED)
        while "2/4" not in out.getvalue():
            pass
    text = out.getvalue()
    assert "line 2: [a].mp4: no" in text
    assert "1 failed" in text
    assert "frames/s" in text
