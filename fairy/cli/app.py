"""The command `fairy` and its subcommands, each in its own file.

Large libraries such as torch are imported inside the commands, so every `--help` is fast.
Tests: tests/cli/test_app.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated

import typer

from fairy import __version__
from fairy.cli.anchors import anchors
from fairy.cli.batch import batch
from fairy.cli.console import OneLineGroup, say, terminal, user_facing
from fairy.cli.doctor import doctor
from fairy.cli.edit import edit
from fairy.cli.evaluate import evaluate
from fairy.cli.info import info
from fairy.cli.models import models
from fairy.cli.options import GroupedCommand
from fairy.cli.track import track
from fairy.cli.train import train
from fairy.cli.web_page import web_page

COMMANDS: dict[str, Callable[..., None]] = {
    "edit": edit, "anchors": anchors, "batch": batch, "info": info, "eval": evaluate,
    "train": train, "doctor": doctor, "models": models, "track": track, "app": web_page,
}  # fmt: skip

app = typer.Typer(
    name="fairy",
    cls=OneLineGroup,
    help="Edit videos by an instruction.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
)
for name, command in COMMANDS.items():
    app.command(name, cls=GroupedCommand)(user_facing(command))


def main() -> None:
    """Run the command line, as `fairy.__main__` does."""
    # Intel's matrix library reads this when torch loads it. Then the same seed gives the same video
    # to the bit, independent of the alignment of buffers.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    # Make the AV1 encoder print only errors, not a page about itself
    os.environ.setdefault("SVT_LOG", "1")
    # File names may contain characters that the terminal cannot show
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


def show_version(asked: bool) -> None:
    """Print the version and exit, if `--version` is given."""
    if asked:
        say(terminal(), f"fairy {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Edit videos by an instruction."""
