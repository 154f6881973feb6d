"""What the commands share: two consoles, errors as one line with an exit code, log lines, progress.

Exit codes: 0 done, 2 something the user can mend (one line says what), 130 interrupted
(Ctrl-C), 143 terminated (SIGTERM).
Tests: tests/test_cli.py.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import typer
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
from rich.text import Text

from fairy.errors import FairyError, JobInterrupted

P = ParamSpec("P")
R = TypeVar("R")

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def say(console: Console, text: str, style: str = "") -> None:
    """Print one unwrapped line, its brackets and numbers taken literally."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def user_facing(command: Callable[P, R]) -> Callable[P, R]:
    """Make a command end in one line and its exit code where the user can mend what is wrong."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except FairyError as error:
            say(Console(stderr=True), f"fairy: {error}")
            raise typer.Exit(EXIT_USER_ERROR) from error
        except JobInterrupted as interrupt:
            say(Console(stderr=True), f"fairy: {interrupt}")
            raise typer.Exit(128 + interrupt.signal_number) from interrupt
        except KeyboardInterrupt as interrupt:
            say(Console(stderr=True), "fairy: interrupted; nothing was written")
            raise typer.Exit(EXIT_INTERRUPTED) from interrupt

    return guarded


class ConsoleHandler(logging.Handler):
    """Log records as lines `fairy: ...` on a rich console, above a running progress bar."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record."""
        say(self.console, f"fairy: {record.getMessage()}")


@contextmanager
def logged_to(console: Console, *, verbose: bool) -> Iterator[None]:
    """Show what the library logs while a command runs: warnings, and with `verbose` every step."""
    logger = logging.getLogger("fairy")
    before, handler = logger.level, ConsoleHandler(console)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class FramesPerSecond(ProgressColumn):
    """Frames per second of the running edit."""

    def render(self, task: Task) -> Text:
        """Return the speed, or nothing before the first frame."""
        return Text(f"{task.speed:.2f} frames/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def frame_progress(console: Console, label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar of frames done; yields the callback. Shows nothing when not on a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        FramesPerSecond(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


def quiet_libraries() -> None:
    """Silence advice and progress bars of the model libraries; their errors still raise.

    To be called before the first import of a model: transformers speaks while it is imported.
    """
    import transformers.utils.logging

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    import diffusers.utils.logging

    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
