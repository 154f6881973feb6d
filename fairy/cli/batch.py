"""`fairy batch`: many edits from a list. Tests: tests/cli/test_batch.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fairy.cli.console import Verbose, logged_to, quiet_libraries, say
from fairy.cli.options import with_options
from fairy.errors import FairyError
from fairy.interrupt import Cancel
from fairy.settings import EditConfig


@with_options(EditConfig, from_file=True)
def batch(
    jobs: Annotated[
        Path,
        typer.Argument(
            metavar="JOBS", help=".csv or .jsonl: input, instruction, output, any option."
        ),
    ],
    config: EditConfig,
    verbose: Verbose = False,
) -> None:
    """Run many edits; print one line of JSON for each. Run again, it does what is missing.

    Options apply to the lines that do not set them.
    """
    with logged_to(Console(stderr=True), verbose=verbose), Cancel().on_signals() as cancel:
        quiet_libraries()
        from fairy.jobs.batch import run_batch

        results = run_batch(
            jobs,
            config,
            on_result=lambda result: say(Console(), result.to_json()),
            cancel=cancel,
        )
    num_failed = sum(result.state == "failed" for result in results)
    if num_failed:
        raise FairyError(f"{num_failed} of {len(results)} jobs failed: see their lines above")
