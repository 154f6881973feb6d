"""What `fairy track` does: a point's attention as a picture, or accuracy by layer.

Tests: tests/analysis/test_track.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fairy.analysis.attention_maps import short_name
from fairy.analysis.track import measure_tracking, track_point
from fairy.analysis.tracking import THRESHOLDS_PX, TrackingAccuracy, by_layer
from fairy.cli.console import frame_progress, logged_to, say
from fairy.errors import SettingsError
from fairy.settings import EditConfig

DEFAULTS = EditConfig()


def track_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture, .png.")],
    clip: Annotated[
        Path | None,
        typer.Argument(metavar="[CLIP]", help="A clip or a folder of images, with --point."),
    ] = None,
    point: Annotated[
        str | None, typer.Option(metavar="X,Y", help="In px from the clip's upper left corner.")
    ] = None,
    frame: Annotated[
        int | None, typer.Option(help="In which the point lies. Default: the first that may.")
    ] = None,
    all_layers: Annotated[
        bool, typer.Option("--all-layers", help="A row for each layer, not the finest's mean.")
    ] = False,
    tapvid: Annotated[
        Path | None, typer.Option(metavar="FILE.pkl", help="Measure on a TAP-Vid file.")
    ] = None,
    clips: Annotated[int, typer.Option(help="How many clips to measure on.")] = 8,
    frames: Annotated[int, typer.Option(help="Frames of each, evenly spread.")] = 8,
    instruction: Annotated[
        str | None, typer.Option(help="What is edited meanwhile. Default: the model's example.")
    ] = None,
    model: Annotated[str, typer.Option(help="As for fairy edit.")] = DEFAULTS.model,
    num_anchors: Annotated[
        int, typer.Option(help="Anchor frames, spread evenly.")
    ] = DEFAULTS.num_anchors,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = DEFAULTS.seed,
    size: Annotated[
        int | None, typer.Option(help="Longer side in pixels at which the model works.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = DEFAULTS.device,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is done.")] = False,
) -> None:
    """Draw where frames look in the anchors: of one point (CLIP --point X,Y), or how well by layer.

    Without CLIP it measures, on rendered clips or on --tapvid, how near the anchors' attention
    comes to where points really are.
    """
    config = EditConfig(model=model, num_anchors=num_anchors, seed=seed, size=size, device=device)
    console = Console(stderr=True)
    if clip is not None:
        if point is None or tapvid is not None:
            raise SettingsError(f"{clip}: give --point X,Y, and no --tapvid, with a clip")
        with logged_to(console, verbose=verbose):
            track_point(
                clip, parse_point(point), out, config, frame=frame, instruction=instruction,
                all_layers=all_layers, overwrite=overwrite,
            )  # fmt: skip
        return
    if point is not None or frame is not None or all_layers:
        raise SettingsError("--point, --frame and --all-layers need a CLIP")
    with logged_to(console, verbose=verbose), frame_progress(console, "clips") as progress:
        accuracy = measure_tracking(
            config, tapvid=tapvid, num_clips=clips, num_frames=frames, instruction=instruction,
            out=out, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    show_accuracy(Console(), accuracy)


def parse_point(text: str) -> tuple[float, float]:
    """Return (x, y) from "120,80".

    Raises:
        SettingsError: not two numbers with a comma between them.
    """
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError as error:
        raise SettingsError(f"--point {text!r}: give two numbers, as in 120,80") from error
    return x, y


def show_accuracy(console: Console, accuracy: TrackingAccuracy) -> None:
    """Print the share of points found, a row for each layer: the mean over its steps."""
    table = Table(
        title=f"points found, of {accuracy.num_points}; in px of 256", title_justify="left"
    )
    table.add_column("layer")
    for px in THRESHOLDS_PX:
        table.add_column(f"< {px} px", justify="right")
    names = dict.fromkeys(row.layer for row in accuracy.layers)
    for name, (found, _) in zip(names, by_layer(accuracy), strict=True):
        table.add_row(short_name(name), *(f"{share:.1%}" for share in found.values()))
    table.add_row("standing still", *(f"{s:.1%}" for s in accuracy.standing_still.values()))
    console.print(table)
    say(console, "chance finds about 0.1, 0.3, 1.2 and 4.9 %")
