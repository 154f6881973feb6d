"""`fairy anchors`: a clip's anchors as pictures to edit. Tests: tests/cli/test_anchors.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fairy.cli.console import Clip, Verbose, logged_to, say, terminal
from fairy.cli.options import with_options
from fairy.settings import OUTPUT, EditConfig

FOLDER = typer.Option("--out", "-o", help="A new folder.", rich_help_panel=OUTPUT)
USED = (
    "num_anchors", "anchor_indices", "shots", "video_stream", "start_s", "end_s", "max_frames",
    "mask", "mask_invert", "mask_grow", "region", "edit_from", "edit_to",
)  # fmt: skip


@with_options(EditConfig, only=USED)
def anchors(
    context: typer.Context,
    source: Clip,
    out: Annotated[Path, FOLDER],
    config: EditConfig,
    verbose: Verbose = False,
) -> None:
    """Write a clip's anchors as pictures, to be edited by hand.

    Then: fairy edit IN INSTRUCTION -o RESULT --keyframes OUT. What was not edited, the model edits.
    """
    from fairy.media.decoding.stdin import clip_from

    with logged_to(terminal(stderr=True), verbose=verbose):
        from fairy.jobs.export_anchors import export_anchors

        pictures = export_anchors(context.with_resource(clip_from(source)), out, config)
    say(terminal(), f"{out}: frames {', '.join(map(str, pictures))}")
