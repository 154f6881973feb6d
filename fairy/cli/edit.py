"""`fairy edit`: its options are the fields of `EditConfig` and `EditRun`.

Tests: tests/cli/test_edit.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairy.cli.console import Clip, Verbose, logged_to, quiet_libraries, say, terminal
from fairy.cli.options import with_options
from fairy.cli.progress import edit_progress
from fairy.interrupt import Cancel
from fairy.jobs.settings_file import save_settings
from fairy.options import named_files
from fairy.settings import OUTPUT, EditConfig, EditRun, RunOptions

OUT = typer.Option("--out", "-o", help="A file or a folder of PNGs.", rich_help_panel=OUTPUT)
WHAT = typer.Argument(metavar="INSTRUCTION", help='What to change, as in "make it snow".')


@with_options(EditConfig, from_file=True)
@with_options(EditRun, "run")
def edit(
    context: typer.Context,
    source: Clip,
    instruction: Annotated[str, WHAT],
    out: Annotated[Path, OUT],
    config: EditConfig,
    run: EditRun,
    settings_file: Path | None = None,
    verbose: Verbose = False,
) -> None:
    """Edit the clip IN as INSTRUCTION says and write it to OUT.

    OUT ends in .mp4 .mov .mkv .webm .gif .png, or is a folder of PNGs. After an interruption the
    same command continues where it stopped.
    """
    from fairy.media.decoding.stdin import clip_from

    source, console = context.with_resource(clip_from(source)), terminal(stderr=True)
    with (
        logged_to(console, verbose=verbose),
        Cancel().on_signals() as cancel,
        edit_progress(console, f"{source.name}: {instruction}") as progress,
    ):
        # The imports take seconds: they are the first that the progress shows
        quiet_libraries()
        from fairy.jobs.plan import EditRequest, check_files_apart
        from fairy.jobs.preview import preview_video
        from fairy.jobs.ranks import edit_with_others

        request, options = (source, instruction, out, config), vars(RunOptions.part_of(run))
        asked = EditRequest.of(*request, **options)
        check_files_apart(
            asked, read={"--settings": settings_file}, written=named_files(EditRun, run, "written")
        )
        if run.save_settings is not None:
            save_settings(config, run.save_settings, overwrite=run.overwrite)
        if run.preview is not None:
            sheet = preview_video(*request, num_frames=run.preview, progress=progress, **options)
        else:
            done = edit_with_others(asked, progress=progress, cancel=cancel)
    if run.preview is not None:
        say(terminal(), f"{sheet}: continue with the same command without --preview")
    elif console.is_terminal and done is not None:
        say(console, done.summary)
