"""`fairy track`: a point's attention as a picture, or tracking accuracy by layer.

Tests: tests/analysis/test_track.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from fairy.cli.console import Overwrite, Verbose, logged_to, quiet_libraries, say, terminal
from fairy.cli.options import LOADED, with_options
from fairy.cli.progress import clip_progress
from fairy.errors import SettingsError
from fairy.options import Option, Settings
from fairy.settings import EditConfig

if TYPE_CHECKING:
    from fairy.analysis.tracking import TrackingAccuracy

# The settings that the attention depends on
TRACKED = (*LOADED, "num_anchors", "seed", "size")
POINT = "One point"
MEASURE = "Accuracy"


@dataclass(frozen=True, kw_only=True)
class TrackOptions(Settings):
    """What to track: a point of a clip, or known points of many clips."""

    point: Annotated[
        tuple[float, float] | None,
        Option(
            help="The point, in pixels from the clip's upper left corner.",
            group=POINT,
            form="two numbers, as in 120,80",
            metavar="X,Y",
        ),
    ] = None
    frame: Annotated[
        int | None,
        Option(
            help="The frame with the point.", group=POINT, unset="the first that is not an anchor"
        ),
    ] = None
    all_layers: Annotated[
        bool, Option(help="Draw a row for each layer, not the mean of the finest.", group=POINT)
    ] = False
    tapvid: Annotated[
        Path | None,
        Option(
            help="A TAP-Vid file to measure on.",
            group=MEASURE,
            unset="rendered clips",
            metavar="FILE.pkl",
        ),
    ] = None
    clips: Annotated[int, Option(help="Number of clips to measure on.", group=MEASURE)] = 8
    frames: Annotated[
        int, Option(help="Frames taken from each clip, evenly spread.", group=MEASURE)
    ] = 8


@with_options(EditConfig, only=TRACKED)
@with_options(TrackOptions, "what")
def track(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT", help="The picture to write, .png.")
    ],
    config: EditConfig,
    what: TrackOptions,
    clip: Annotated[
        Path | None,
        typer.Argument(metavar="[CLIP]", help="A clip or a folder of images, with --point."),
    ] = None,
    instruction: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Edit to make. [default: the model's example]"),
    ] = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Draw a point's attention to the anchors, or measure tracking.

    With CLIP --point X,Y it draws the attention of that point. Without CLIP it measures on rendered
    clips, or on --tapvid, how close attention to the anchors is to the true positions of points,
    and draws that by layer.
    """
    quiet_libraries()
    from fairy.analysis.track import measure_tracking, track_point

    console = terminal(stderr=True)
    if clip is not None:
        if what.point is None or what.tapvid is not None:
            raise SettingsError(f"{clip}: with a clip, use --point X,Y and no --tapvid")
        with logged_to(console, verbose=verbose):
            track_point(
                clip, what.point, out, config, frame=what.frame, instruction=instruction,
                all_layers=what.all_layers, overwrite=overwrite,
            )  # fmt: skip
        return
    if what.point is not None or what.frame is not None or what.all_layers:
        raise SettingsError("--point, --frame and --all-layers need a CLIP")
    with logged_to(console, verbose=verbose), clip_progress("tracking") as progress:
        accuracy = measure_tracking(
            config, tapvid=what.tapvid, num_clips=what.clips, num_frames=what.frames,
            instruction=instruction, out=out, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    show_accuracy(terminal(), accuracy)


def show_accuracy(console: Console, accuracy: TrackingAccuracy) -> None:
    """Print the share of points found, one row per layer: the mean over its steps."""
    from fairy.analysis.attention_maps import short_name
    from fairy.analysis.tracking import THRESHOLDS_PX, by_layer

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
