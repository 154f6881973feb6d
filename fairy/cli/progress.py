"""Progress of an edit (stage, frames, speed, time left) and of a list (clips).

A bar on a terminal; elsewhere the same as plain lines.
Tests: tests/cli/test_progress.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from fairy.cli.console import say
from fairy.interrupt import Stage

# The first plain line, then the others
FIRST_LINE_S, LINES_S = 10.0, 30.0

WORDS: dict[Stage, str] = {"compiling": "compiling, about a minute"}


class EditProgress:
    """What an edit has reported: a `StagedProgress`, and its pace.

    The pace counts from the first "frames" stage, so that neither the first anchors nor compiling
    are in it, and changes only when a frame is done, so that the time left counts down evenly.

    Args:
        clock: seconds.

    Attributes:
        on_count: called with each report of frames.
        words: the stage, in words.
        done: frames done; None before the first report.
        total: frames of the clip.
        frames_per_second: since frames are edited; None before the second batch is done.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.on_count: Callable[[int, int], None] = lambda done, total: None
        self.words = ""
        self.done: int | None = None
        self.total: int | None = None
        self.frames_per_second: float | None = None
        self._began: tuple[float, int] | None = None
        self._last_s = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Take note that `done` of `total` frames are done."""
        now_s, self.total = self._clock(), total
        if self._began is not None and done > self._began[1]:
            elapsed_s = max(now_s - self._began[0], 1e-9)
            self.frames_per_second = (done - self._began[1]) / elapsed_s
        self.done, self._last_s = done, now_s
        self.on_count(done, total)

    def stage(self, name: Stage) -> None:
        """Take note that the edit is at another stage."""
        self.words = WORDS.get(name, name)
        if name == "frames" and self._began is None:
            self._began = (self._clock(), self.done or 0)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the last frame is done, at the pace so far."""
        if self.frames_per_second is None or self.done is None or self.total is None:
            return None
        of_work = (self.total - self.done) / self.frames_per_second
        return max(0.0, of_work - (self._clock() - self._last_s))

    @property
    def counts(self) -> str:
        """Frames, speed and time left in words, as far as they are known."""
        if self.done is None:
            return ""
        words = [f"{self.done} of {self.total}"]
        if self.frames_per_second is not None:
            words.append(f"{self.frames_per_second:.2f} frames/s")
        if (left := self.seconds_left) is not None and self.done != self.total:
            words.append(f"{timedelta(seconds=round(left))} left")
        return ", ".join(words)

    @property
    def line(self) -> str:
        """Everything in one line."""
        return ", ".join(filter(None, (self.words, self.counts)))


@contextmanager
def edit_progress(console: Console, label: str) -> Iterator[EditProgress]:
    """Show the progress of an edit while the block runs; yields what the edit reports to."""
    label = " ".join(label.split())
    show = _as_bar if console.is_terminal else _as_lines
    with show(console, label) as progress:
        yield progress


@contextmanager
def _as_bar(console: Console, label: str) -> Iterator[EditProgress]:
    state = EditProgress()
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), _Line(state))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(escape(label), total=None)
        state.on_count = lambda done, total: bar.update(task, completed=done, total=total)
        yield state


class _Line(ProgressColumn):
    """The line of an edit, read whenever the bar is drawn."""

    def __init__(self, state: EditProgress) -> None:
        super().__init__(Column(no_wrap=True))
        self._state = state

    def render(self, task: Task) -> Text:
        """Return the line as it is now."""
        return Text(self._state.line, style="progress.percentage")


@contextmanager
def _as_lines(
    console: Console, label: str, *, first_s: float = FIRST_LINE_S, every_s: float = LINES_S
) -> Iterator[EditProgress]:
    """Print a line after `first_s` and then each `every_s`: a quick edit prints none."""
    state, ended = EditProgress(), threading.Event()

    def print_lines() -> None:
        wait_s = first_s
        while not ended.wait(wait_s):
            say(console, f"fairy: {label}: {state.line}")
            wait_s = every_s

    thread = threading.Thread(target=print_lines, name="progress", daemon=True)
    thread.start()
    try:
        yield state
    finally:
        ended.set()
        thread.join()


@contextmanager
def clip_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show the number of clips done; yields the callback (done, total)."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: say(console, f"fairy: {label}: {done} of {total} clips")
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("clips"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
