"""Progress of an edit (stage, frames, speed, time left) and of a list (clips).

A bar on a terminal; elsewhere the same as plain lines.
Tests: tests/cli/test_progress.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
from fairy.jobs.pace import EditProgress

# The first plain line, then the others
FIRST_LINE_S, LINES_S = 10.0, 30.0


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
