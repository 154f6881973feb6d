"""Shared by all commands: arguments, one-line errors with exit codes, log lines, progress.

Exit codes: 0 done, 2 an error that the user can correct (one line says how), 130 interrupted
(Ctrl-C), 143 terminated (SIGTERM).
Tests: tests/cli/test_app.py.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from typer.core import TyperGroup

from fairy.errors import FairyError, JobInterrupted
from fairy.settings import in_flags

P = ParamSpec("P")
R = TypeVar("R")

# The usage error of click; typer has its own copy of click since 0.26
UsageError: Any = typer.BadParameter.__base__

Clip = Annotated[
    Path, typer.Argument(metavar="IN", help="A clip, a picture, a folder of them, or - (stdin).")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log each step.")]

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def terminal(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is: names may hold `[b]` or `:x:`."""
    return Console(stderr=stderr, markup=False, emoji=False)


def say(console: Console, text: str, style: str = "") -> None:
    """Print one unwrapped line as it is, without markup, emoji or highlighting."""
    console.print(text, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)


def user_facing(command: Callable[P, R]) -> Callable[P, R]:
    """Report user errors of a command as one line with their exit code."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except FairyError as error:
            say(terminal(stderr=True), f"fairy: {in_flags(str(error))}")
            raise typer.Exit(EXIT_USER_ERROR) from error
        except OSError as error:
            # Nobody reads our output any more, as in `fairy info clip.mp4 | head -1`: typer exits
            if error.errno == errno.EPIPE:
                raise
            where = f"{error.filename}: " if error.filename else ""
            say(terminal(stderr=True), f"fairy: {where}{error.strerror or error}")
            raise typer.Exit(EXIT_USER_ERROR) from error
        except JobInterrupted as interrupt:
            say(terminal(stderr=True), f"fairy: {interrupt}")
            raise typer.Exit(128 + interrupt.signal_number) from interrupt
        except KeyboardInterrupt as interrupt:
            say(terminal(stderr=True), "fairy: interrupted; nothing was written")
            raise typer.Exit(EXIT_INTERRUPTED) from interrupt

    return guarded


class OneLineGroup(TyperGroup):
    """Commands that report a wrong option in one line, like any other error."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the options before the command's name."""
        with usage_in_one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        """Read the command's own arguments and run it."""
        with usage_in_one_line():
            return super().invoke(*args, **kwargs)


@contextmanager
def usage_in_one_line() -> Iterator[None]:
    """Report typer's usage errors, and point to the command's `--help`."""
    try:
        yield
    except UsageError as error:
        message = error.format_message().rstrip(".")
        if "\n" in message:
            # Print the whole help, as for `fairy` alone
            raise
        if message.startswith("Got unexpected extra argument"):
            message += ": put words that belong together in quotes"
        command = "fairy" if error.ctx is None else error.ctx.command_path
        say(terminal(stderr=True), f"fairy: {message}: see {command} --help")
        raise typer.Exit(EXIT_USER_ERROR) from error


class ConsoleHandler(logging.Handler):
    """Log records as lines `fairy: ...` on a rich console, above a running progress bar."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record, unless it repeats the previous line."""
        if (line := record.getMessage()) != self._last:
            say(self.console, f"fairy: {line}")
        self._last = line


@contextmanager
def logged_to(console: Console, *, verbose: bool) -> Iterator[None]:
    """Show the library's warnings while a command runs, and its steps if `verbose`."""
    logger = logging.getLogger("fairy")
    before, handler = logger.level, ConsoleHandler(console)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def needs_extra(what: str, extra: str) -> Iterator[None]:
    """Report a missing package with the extra that installs it; wrap only imports."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise FairyError(
            f"{what} needs the package {error.name}: pip install 'fairy-video[{extra}]'"
        ) from error


def quiet_libraries() -> None:
    """Silence advice and progress bars of the model libraries; errors are still raised.

    Call it before the first import of a model, because transformers prints during import.
    """
    # For workers that this process starts
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import transformers.utils.logging

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    import diffusers.utils.logging

    # It also raises what it logs as errors
    diffusers.utils.logging.set_verbosity(logging.CRITICAL)
    diffusers.utils.logging.disable_progress_bar()
