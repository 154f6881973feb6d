"""Progress of an edit (stage, frames, speed, time left) and of a list (clips).

A bar on a terminal; elsewhere the same as plain lines.
Tests: tests/cli/test_progress.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
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

from fairy.cli.console import say, terminal
from fairy.jobs.pace import EditProgress

# The first plain line, then the others
FIRST_LINE_S, LINES_S = 10.0, 30.0
# Characters; the line's are those of "frames, 100 of 200, 12.34 frames/s, 0:01:23 left", so that
# nothing moves when the speed is known
BAR_WIDTH, LINE_WIDTH = 16, 49


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
    bar_column = BarColumn(bar_width=BAR_WIDTH, table_column=Column(no_wrap=True))
    # What the command prints at its end takes the place of the bar
    with Progress(_Label(), bar_column, _Line(state), console=console, transient=True) as bar:
        task = bar.add_task(label, total=None)
        state.on_count = lambda done, total: bar.update(task, completed=done, total=total)
        yield state


class _Label(ProgressColumn):
    """The label, shortened where the terminal is narrow: rich shrinks columns that may wrap."""

    def render(self, task: Task) -> Text:
        """Return the label as a text that does not wrap."""
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class _Line(ProgressColumn):
    """The line of an edit, read whenever the bar is drawn."""

    def __init__(self, state: EditProgress) -> None:
        super().__init__(Column(no_wrap=True, min_width=LINE_WIDTH))
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
    console = terminal(stderr=True)
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
