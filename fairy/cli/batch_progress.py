"""Show how far a list is that any number of workers share, on a terminal or as lines of JSON.

The counts come from the list's records, so they include the workers of other processes and
machines. Tests: tests/cli/test_batch_progress.py.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from fairy.cli.console import say

if TYPE_CHECKING:
    from fairy.batch.answers import JobResult
    from fairy.batch.ledger import Ledger

# How often the records are counted; without a terminal a line follows each count
COUNT_S = 2.0
LINE_S = 30.0


@dataclass(frozen=True)
class BatchCounts:
    """How far a list is.

    Attributes:
        jobs: number of jobs.
        done: number of jobs that are done.
        failed: number of jobs that were set aside.
        frames_per_second: of the workers that this process sees.
        left_s: seconds until all have ended, at the speed so far; None before the first has.
    """

    jobs: int
    done: int
    failed: int
    frames_per_second: float
    left_s: float | None

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps({"progress": asdict(self)})


class BatchMeter:
    """Counts the jobs of a list that have ended, and the frames of results.

    Args:
        ledger: the records.
        names: the jobs.
    """

    def __init__(self, ledger: Ledger, names: Collection[str]) -> None:
        self._ledger, self._names = ledger, set(names)
        self._began_s, self._num_frames = time.monotonic(), 0
        self._before = sum(self._states())

    def add(self, result: JobResult) -> None:
        """Count the frames of a job that was done now."""
        self._num_frames += result.num_frames or 0

    def counts(self) -> BatchCounts:
        """Count the records."""
        done, failed = self._states()
        took_s = time.monotonic() - self._began_s
        fresh, left = done + failed - self._before, len(self._names) - done - failed
        return BatchCounts(
            jobs=len(self._names),
            done=done,
            failed=failed,
            frames_per_second=round(self._num_frames / took_s, 2) if took_s else 0.0,
            left_s=round(left * took_s / fresh, 1) if fresh else None,
        )

    def _states(self) -> tuple[int, int]:
        states = [state for name, state in self._ledger.ended().items() if name in self._names]
        return states.count("done"), states.count("failed")


class BatchView:
    """Shows results and progress; `watch` starts to count the records of a list.

    Args:
        out: where each result goes as a line of JSON, unless it is a terminal.
        console: where progress goes, and on a terminal each failure with its line.
    """

    def __init__(self, out: Console, console: Console) -> None:
        self._out, self._console = out, console
        columns = ("[progress.description]{task.description}", "{task.fields[speed]}")
        self._bar = Progress(
            TextColumn(columns[0]),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn(columns[1]),
            console=console,
            disable=not console.is_terminal,
        )
        self._meter: BatchMeter | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True, name="progress")

    def watch(self, ledger: Ledger, names: Collection[str]) -> None:
        """Begin to show how far these jobs are."""
        self._meter = BatchMeter(ledger, names)
        self._task = self._bar.add_task("clips", total=len(names), speed="")
        self._show(self._meter.counts())
        self._thread.start()

    def result(self, result: JobResult) -> None:
        """Show how a job ended."""
        if self._meter is not None:
            self._meter.add(result)
        if not self._out.is_terminal:
            say(self._out, result.to_json())
        elif result.state == "failed":
            say(self._console, f"line {result.line}: {result.input}: {result.error}", "red")

    @contextmanager
    def shown(self) -> Iterator[BatchView]:
        """Show progress until the block ends."""
        try:
            with self._bar:
                yield self
                if self._meter is not None:
                    self._show(self._meter.counts())
        finally:
            self._stop.set()
            if self._thread.is_alive():
                self._thread.join()

    def _count(self) -> None:
        from fairy.batch.ledger import LISTING_SHARE

        assert self._meter is not None
        often_s = COUNT_S if self._console.is_terminal else LINE_S
        took_s = 0.0
        while not self._stop.wait(max(often_s, LISTING_SHARE * took_s)):
            began_s = time.monotonic()
            self._show(self._meter.counts())
            took_s = time.monotonic() - began_s

    def _show(self, counts: BatchCounts) -> None:
        if not self._console.is_terminal:
            say(self._console, counts.to_json())
            return
        left = "" if counts.left_s is None else f"{timedelta(seconds=round(counts.left_s))} left"
        failed = f"{counts.failed} failed" if counts.failed else ""
        speed = f"{counts.frames_per_second:.1f} frames/s" if counts.frames_per_second else ""
        text = ", ".join(part for part in (speed, left, failed) if part)
        self._bar.update(self._task, completed=counts.done + counts.failed, speed=text)
