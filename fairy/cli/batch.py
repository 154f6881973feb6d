"""`fairy batch`: many edits from a list. Tests: tests/cli/test_batch.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from fairy.batch.cluster_scripts import cluster_script
from fairy.cli.batch_progress import BatchView
from fairy.cli.console import Verbose, logged_to, needs_extra, quiet_libraries, say, terminal
from fairy.cli.options import with_options, words_given
from fairy.errors import FairyError, JobInterrupted
from fairy.interrupt import Cancel
from fairy.settings import BatchOptions, EditConfig

STATUS = "status"
# Options that a printed script sets itself
SCRIPTS_OWN = {
    "print_script",
    "cluster",
    "workers",
    "address",
    "gpus_per_worker",
    "cpus_per_worker",
}
EXIT_SOME_FAILED = 3
EXIT_NO_PROGRESS = 75


@with_options(EditConfig, from_file=True)
@with_options(BatchOptions, "run")
def batch(
    context: typer.Context,
    jobs: Annotated[
        Path,
        typer.Argument(
            metavar="JOBS", help=".csv or .jsonl: input, instruction, output, any option."
        ),
    ],
    config: EditConfig,
    run: BatchOptions,
    root: Annotated[
        str | None, typer.Argument(metavar="[DIR_OR_URL]", help="For `fairy batch status`.")
    ] = None,
    settings_file: Path | None = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the status as JSON.")] = False,
    verbose: Verbose = False,
) -> None:
    """Run many edits; print one line of JSON for each.

    On a terminal, a bar shows the progress of all workers.

    Run the same command again to do what is missing.

    Options apply to the lines that do not set them. `fairy batch status DIR_OR_URL` prints the
    progress of a shared list. Exit code 3: some jobs failed; 75: no job succeeds.
    """
    if jobs == Path(STATUS) and root is not None:
        print_status(root, as_json)
        return
    if root is not None:
        raise FairyError(f"{root}: give one list of jobs, or `fairy batch status DIR_OR_URL`")
    if run.print_script is not None:
        words = words_given(context, without=SCRIPTS_OWN)
        say(terminal(), cluster_script(run.print_script, words, run).rstrip())
        return
    console = terminal(stderr=True)
    with logged_to(console, verbose=verbose), Cancel().on_signals() as cancel:
        quiet_libraries()
        from fairy.batch.answers import JobResult
        from fairy.batch.outcomes import NoProgressError
        from fairy.batch.runner import run_batch
        from fairy.batch.shared import run_shared_batch
        from fairy.batch.shared_list import SharedBatch, check_list

        shared = SharedBatch(path=jobs, defaults=config, options=run, settings_file=settings_file)
        check_list(shared)
        has_records = bool(run.cluster) or run.workers > 1
        run_on_workers: Callable[..., list[JobResult]] = run_shared_batch
        try:
            if run.cluster == "ray":
                with needs_extra("--cluster ray", "cluster"):
                    from fairy.batch.on_ray import run_ray_batch

                run_on_workers = run_ray_batch
            with BatchView(terminal(), console).shown() as view:
                if has_records:
                    results = run_on_workers(
                        shared, on_result=view.result, on_open=view.watch, cancel=cancel
                    )
                else:
                    results = run_batch(
                        jobs, config, into=run.out, settings_file=settings_file,
                        on_result=view.result, cancel=cancel,
                    )  # fmt: skip
        except JobInterrupted as interrupt:
            if run.workers == 1:
                # It says what is kept
                raise
            number, text = interrupt.signal_number, "interrupted: the same command goes on"
            raise JobInterrupted(number, text) from interrupt
        except NoProgressError as error:
            say(terminal(stderr=True), f"fairy: {error}")
            raise typer.Exit(EXIT_NO_PROGRESS) from error
    num_failed = sum(result.state == "failed" for result in results)
    if num_failed:
        show = f"`fairy batch status {shared.root}` shows why"
        why = show if has_records else "see their lines above"
        text = f"{num_failed} of {len(results)} jobs failed: {why}"
        say(terminal(stderr=True), f"fairy: {text}")
        raise typer.Exit(EXIT_SOME_FAILED)


def print_status(root: str, as_json: bool) -> None:
    """Print how far a shared list is, and what failed."""
    from fairy.batch.ledger import Ledger
    from fairy.batch.shared_list import RECORDS, beside_list, named_errors

    if Path(root).is_file():
        root = beside_list(Path(root))
    with named_errors(root):
        status = Ledger.of_existing(f"{root.rstrip('/')}/{RECORDS}", root).status()
    console = terminal()
    if as_json:
        say(console, status.to_json())
        return
    speed = f"{status.frames_per_second:.2f} frames/s a worker"
    say(console, f"{status.done} done, {status.running} running, {status.failed} failed, {speed}")
    for record in status.failures:
        say(console, f"failed: line {record['line']}: {record['input']}: {record['error']}")
