r"""Compare the bundled model with another version: the same clips, instructions and seeds.

    git archive b7c35b6 fairy/models/mini | tar x -C out     its first version, into out/fairy/
    python benchmarks/quality/compare_models.py out/fairy/models/mini
    python benchmarks/quality/compare_models.py out/fairy/models/mini \
        --clips ../shared/clips --sheets 10

Edits ten rendered clips, or the first ten of a folder, with looks that have an exact result. Both
models run with their own defaults (steps, guidance scales, scheduler) at one size. Writes sheets of
some pairs of clip and look, and prints both models' scores for each pair and their means. Warp
errors are x 10^-3, sharpness is relative to the target's.
Frames (T,3,H,W) in [0,1]. Tests: tests/benchmarks/quality/test_compare_models.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.record import ROOT, show
from benchmarks.lib.sheets import write_sheet
from fairy import FairyPipeline
from fairy.evaluation.clips import MakeClip, SuiteClip, known_edit_clips, render_clip
from fairy.evaluation.measures import MEASURES_BY_KEY
from fairy.evaluation.methods import Method, with_anchors
from fairy.evaluation.suite import ASPECT, NUM_ANCHORS, judge_edit
from fairy.evaluation.workers import working
from fairy.media.frames import fit_size
from fairy.metrics.temporal import warp_error

LOOKS = ("winter", "night", "pencil_sketch", "sunset", "comic", "pixel_art", "poster")
MEASURES = [MEASURES_BY_KEY[key] for key in ("psnr_db", "warp_error", "sharpness")]
WARP_SCALE = MEASURES_BY_KEY["warp_error"].scale
# The grid of both bundled models in pixels
MULTIPLE = 8
NUM_SHOWN = 3
Row = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    """Edit, draw, measure, show."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", help="the other version: a folder in diffusers format")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clips", type=Path, help="a folder of clips; rendered ones without")
    parser.add_argument("--count", type=int, default=10, help="of clips")
    parser.add_argument("--looks", nargs="+", default=LOOKS)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=160, help="longer side in px")
    parser.add_argument("--sheets", type=int, default=1, help="clips drawn for each look")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "compare")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    models = {
        name: FairyPipeline.from_pretrained(model, dtype="auto")
        for name, model in (("before", args.before), ("now", args.model))
    }
    rows = []
    with working(models, args.workers) as each:
        for row in each(do, plan(args)):
            print(row, flush=True)
            rows.append(row)
    kind = f"clips of {args.clips.name}" if args.clips else "rendered clips"
    title = f"{args.model} and {args.before}: edits of {kind}, {args.frames} frames"
    show(title, summary(rows), size=args.size, cases=rows)


@dataclass(frozen=True)
class Task:
    """A clip to edit with a look; its number is the seed; the path of its sheet, if any."""

    number: int
    look: str
    make: MakeClip
    sheet: Path | None


def do(models: Mapping[str, FairyPipeline], task: Task) -> Row:
    """Edit a clip by all models, draw them, and return their scores."""
    clip = task.make()
    methods = [with_anchors(pipe, NUM_ANCHORS, name=name) for name, pipe in models.items()]
    edits, row = compare(clip, task.look, methods, task.number)
    if task.sheet:
        draw(task.sheet, clip, edits)
    return row


def plan(args: argparse.Namespace) -> list[Task]:
    """Return all tasks, with every look of a clip before the next clip."""
    by_look = {look: plan_clips(args, look) for look in args.looks}
    return [
        Task(number, look, make, sheet_of(args, number, look))
        for number, makers in enumerate(zip(*by_look.values(), strict=True))
        for look, make in zip(args.looks, makers, strict=True)
    ]


def sheet_of(args: argparse.Namespace, number: int, look: str) -> Path | None:
    """Return the path of a sheet; each look shows different clips if there are enough."""
    if (number - list(args.looks).index(look)) % args.count >= args.sheets:
        return None
    path: Path = args.out / f"{look}_{number + 1}.png"
    return path


def plan_clips(args: argparse.Namespace, look: str) -> list[MakeClip]:
    """Return functions that make each clip for a look."""
    if args.clips:
        makers = known_edit_clips(
            args.clips, (look,), num_frames=args.frames, size=args.size, multiple=MULTIPLE
        )
        return makers[: args.count]
    size = fit_size(*ASPECT, size=args.size, multiple=MULTIPLE)
    return [partial(render_clip, number, look, args.frames, size) for number in range(args.count)]


def compare(
    clip: SuiteClip, look: str, methods: Sequence[Method], seed: int
) -> tuple[list[Tensor], Row]:
    """Return each model's edit (T,3,H,W), and a row with the scores of all."""
    judged = [judge_edit(clip, method, seed, None) for method in methods]
    row: Row = {"clip": clip.name, "look": look}
    for measure in MEASURES:
        for _, case in judged:
            score = measure.scale * case.scores.values[measure.key]
            row[f"{measure.key} {case.method}"] = round(score, 4)
    assert clip.target is not None
    of_target = WARP_SCALE * warp_error(clip.target, clip.flow, clip.visible)
    return [pair.edited for pair, _ in judged], {**row, "warp_error target": round(of_target, 4)}


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return the means of each look and of all, and the number of cases that are better now."""
    looks = dict.fromkeys(row["look"] for row in rows)
    groups = {look: [row for row in rows if row["look"] == look] for look in looks}
    return [_mean(name, members) for name, members in {**groups, "all": rows}.items()]


def _mean(name: str, rows: Sequence[Row]) -> Row:
    scores = [key for key in rows[0] if key not in ("clip", "look")]
    found: Row = {"look": name, "clips": len(rows)}
    found |= {key: float(np.mean([row[key] for row in rows])) for key in scores}
    higher = sum(row["psnr_db now"] > row["psnr_db before"] for row in rows)
    lower = sum(row["warp_error now"] < row["warp_error before"] for row in rows)
    return {**found, "nearer now": higher, "steadier now": lower}


def draw(path: Path, clip: SuiteClip, edits: Sequence[Tensor]) -> None:
    """Write a sheet: source, target and the edits in rows, a few frames in columns."""
    assert clip.target is not None
    labels = [f'source, "{clip.instruction}"', "target", "before", "now"]
    videos = [clip.frames, clip.target, *edits]
    write_sheet(path, dict(zip(labels, videos, strict=True)), NUM_SHOWN)


if __name__ == "__main__":
    main()
