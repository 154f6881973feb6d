r"""The paper's ablation on our models: single frames, shared noise, anchors, finetuned models.

    python benchmarks/quality/ablation.py --workers 2 --clips DIR --also "longer training=MODEL" \
        --also equivariant=MODEL --also "clip mode=MODEL"
    python benchmarks/quality/ablation.py --draw --pages .       from the last run's JSON

Edits from the same seeds: 100 rendered clips with free-choice instructions, 20 rendered clips with
exact-result instructions, and the real clips in DIR with both kinds. Writes OUT/*.html, .json and
.csv for each kind. With --pages it also writes the tables and the finding between the marks in
docs/ablation.md and docs/measured.md, and docs/sheets/ablation.png.
Tests: tests/benchmarks/quality/test_ablation.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.ablation_page import PARTS, Part, write_pages
from benchmarks.lib.record import ROOT
from fairy.cli.progress import clip_progress
from fairy.evaluation.clips import MakeClip, known_edit_clips, plan_rendered
from fairy.evaluation.report import write_report
from fairy.evaluation.results import read_results
from fairy.evaluation.run import plan_suite
from fairy.evaluation.suite import SUITES, Plan, run_suite
from fairy.settings import EditConfig
from fairy.synthetic.free_looks import FREE_LOOKS

REAL_EXACT = ("night", "pencil_sketch")
NUM_EXACT = 20


def main(words: Sequence[str] | None = None) -> None:
    """Edit and measure, or read earlier results; then write the pages."""
    args = parser().parse_args(words)
    if not args.draw:
        measure_parts(args)
    found = {part: args.out / f"{part.name}.json" for part in PARTS}
    results = {part: read_results(path) for part, path in found.items() if path.exists()}
    if args.pages is not None:
        write_pages(results, args.pages)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--model", default="mini")
    made.add_argument("--also", action="append", default=[], metavar="NAME=MODEL")
    made.add_argument("--clips", type=Path, help="a folder of real clips")
    made.add_argument("--size", type=int, default=128, help="longer side in px")
    made.add_argument("--frames", type=int, default=16, help="of real clips, every second one")
    made.add_argument("--workers", type=int, default=1)
    made.add_argument("--device", default="auto")
    made.add_argument("--parts", nargs="+", choices=[part.name for part in PARTS])
    made.add_argument("--limit", type=int, help="clips of each kind; all when not given")
    made.add_argument("--out", type=Path, default=ROOT / "out" / "ablation")
    made.add_argument("--pages", type=Path, help="root of the pages to write, such as .")
    made.add_argument("--draw", action="store_true", help="measure nothing")
    return made


def measure_parts(args: argparse.Namespace) -> None:
    """Edit and measure every requested part, and write its report."""
    args.out.mkdir(parents=True, exist_ok=True)
    config = EditConfig(model=args.model, device=args.device, size=args.size)
    plan = plan_suite(SUITES["ablation"], config, also=args.also)
    for part in PARTS:
        if args.parts is not None and part.name not in args.parts:
            continue
        chosen = part_clips(part, plan, args)
        if not chosen:
            continue
        settings = {**plan.settings, "clips": f"{len(chosen)}, {part.words}, {args.size} px"}
        own = replace(plan, clips=chosen, settings=settings)
        with clip_progress(part.name) as progress:
            title = f"{plan.name}: ablation, {part.words}"
            results, views = run_suite(own, title, progress, workers=args.workers)
        write_report(args.out / f"{part.name}.html", results, views)


def part_clips(part: Part, plan: Plan, args: argparse.Namespace) -> list[MakeClip]:
    """Return functions that make the clips of a part: `--limit` clips, real ones with all edits."""
    suite = SUITES["ablation"]
    if not part.real:
        size = suite.size(plan.editor, args.size)
        exact = plan_rendered(0, NUM_EXACT, suite.num_frames, size)
        return list(plan.clips if part.free else exact)[: args.limit]
    if args.clips is None:
        return []
    names = tuple(FREE_LOOKS) if part.free else REAL_EXACT
    makers = known_edit_clips(
        args.clips, names, num_frames=args.frames, size=args.size, stride=2,
        multiple=plan.editor.grid,
    )  # fmt: skip
    return makers[: args.limit * len(names) if args.limit else None]


if __name__ == "__main__":
    main()
