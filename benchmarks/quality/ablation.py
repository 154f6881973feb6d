r"""The paper's ablation on our models: frame by frame, with anchors, and with finetuned models.

    python benchmarks/quality/ablation.py --workers 2 --clips DIR --also "longer training=MODEL" \
        --also equivariant=MODEL --also "clip mode=MODEL"

Edits, from the same seeds: 100 rendered clips by instructions that leave a choice open, 20 rendered
clips by instructions that fix the result, and the clips of DIR (its real clips) by both kinds.
Writes out/ablation/*.html, .json and .csv, the tables between the marks in docs/ablation.md and
README.md, and docs/sheets/ablation.png. `--draw` only draws, from the JSON of the last run.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.lib.pages import markdown_table, put_between
from benchmarks.lib.record import ROOT
from fairy.cli.scores import edit_progress
from fairy.evaluation.clips import (
    VIDEO_SUFFIXES,
    MakeClip,
    SuiteClip,
    plan_rendered,
    real_clip,
)
from fairy.evaluation.measures import MEASURES_BY_KEY, Measure
from fairy.evaluation.report import write_report
from fairy.evaluation.results import Results, read_results
from fairy.evaluation.run import plan_suite
from fairy.evaluation.statistics import PairedTest, estimate_mean, holm, paired_test
from fairy.evaluation.suite import SUITES, run_suite
from fairy.evaluation.tables import show, show_interval, show_p
from fairy.settings import EditConfig
from fairy.synthetic import looks
from fairy.synthetic.edits import EDITS_BY_NAME
from fairy.synthetic.phrases import PHRASES

REAL_OPEN = ("pop_art", "paint_by_numbers", "neon", "other_hues", "stage_light")
REAL_EXACT = ("night", "pencil_sketch")
NUM_EXACT = 20
# Where each table goes, between <!-- ablation --> and <!-- /ablation -->
PAGES = (ROOT / "docs" / "ablation.md", ROOT / "README.md")
SHEET = ROOT / "docs" / "sheets" / "ablation.png"
CAPTION = "Each way's difference to editing frame by frame, with 95 % intervals"
MARK = "ablation"
# The name of a model that was trained on without maps: those after it are tested against it, too
CONTROL = "longer training"


@dataclass(frozen=True)
class Part:
    """A kind of clip: its name, which is its file's, in words, and the measures that count."""

    name: str
    words: str
    keys: tuple[str, ...]


PARTS = (
    Part("rendered-open", "rendered clips, one-to-many edits", ("warp_error", "sharpness")),
    Part("rendered-exact", "rendered clips, exact edits", ("warp_error", "psnr_db")),
    Part("real-open", "real clips, one-to-many edits", ("warp_error", "sharpness")),
    Part("real-exact", "real clips, exact edits", ("warp_error", "psnr_db")),
)


def main() -> None:
    """Edit and measure, or read what was measured; then write tables and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=MODEL")
    parser.add_argument("--clips", type=Path, help="a folder of real clips")
    parser.add_argument("--size", type=int, default=96, help="longer side in px")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "ablation")
    parser.add_argument("--draw", action="store_true", help="measure nothing")
    parser.add_argument("--limit", type=int, help="of clips of each kind, to try it out")
    args = parser.parse_args()
    if not args.draw:
        measure_parts(args)
    found = {p: args.out / f"{p.name}.json" for p in PARTS}
    results = {part: read_results(path) for part, path in found.items() if path.exists()}
    if args.limit is None:
        write_pages(results)
        draw(results)


def measure_parts(args: argparse.Namespace) -> None:
    """Edit and measure every part, and leave a report of each."""
    args.out.mkdir(parents=True, exist_ok=True)
    suite = SUITES["ablation"]
    config = EditConfig(model=args.model, device=args.device, size=args.size)
    plan = plan_suite(suite, config, also=args.also)
    size, factor = suite.size(plan.pipe, args.size), plan.pipe.vae_scale_factor
    clips: dict[str, list[MakeClip]] = {
        "rendered-open": list(plan.clips),
        "rendered-exact": plan_rendered(0, NUM_EXACT, suite.num_frames, size),
        "real-open": real_clips(args.clips, REAL_OPEN, suite.num_frames, args.size, factor),
        "real-exact": real_clips(args.clips, REAL_EXACT, suite.num_frames, args.size, factor),
    }
    for part in PARTS:
        chosen = clips[part.name][: args.limit]
        if not chosen:
            continue
        settings = {**plan.settings, "clips": f"{len(chosen)}, {part.words}, {args.size} px"}
        own = replace(plan, clips=chosen, settings=settings)
        with edit_progress(part.name) as progress:
            title = f"{plan.name}: ablation, {part.words}"
            results, views = run_suite(own, title, progress, workers=args.workers)
        write_report(args.out / f"{part.name}.html", results, views)


def real_clips(
    folder: Path | None, names: tuple[str, ...], num_frames: int, size: int, multiple: int
) -> list[MakeClip]:
    """Return what reads each clip of `folder` for each of the edits `names`."""
    paths = sorted(folder.iterdir()) if folder else []
    return [
        partial(real_with_target, path, name, num_frames, size, multiple)
        for path in paths
        if path.suffix.lower() in VIDEO_SUFFIXES
        for name in names
    ]


def real_with_target(path: Path, name: str, num_frames: int, size: int, multiple: int) -> SuiteClip:
    """Read a clip for an edit of the whole picture, with the exact result where there is one."""
    instruction = PHRASES[name][0][0].format(it="it")
    clip = real_clip(path, instruction, num_frames=num_frames, size=size, multiple=multiple)
    if not EDITS_BY_NAME[name].deterministic:
        return clip
    return replace(clip, target=getattr(looks, name)(clip.frames))


def by_clip(results: Results, method: str, key: str) -> list[float]:
    """Return a method's scores, one for each clip: the mean over its instructions."""
    found = defaultdict(list)
    for case in results.of(method):
        # What lacks depends on source and target alone, so it lacks for every method
        if key in case.scores.values:
            found[case.clip].append(case.scores.values[key])
    return [float(np.mean(values)) for values in found.values()]


def against(results: Results, key: str, place: int = 0) -> dict[str, PairedTest]:
    """Return the test of each method after that at `place` against it; 0: frame by frame."""
    other = by_clip(results, results.methods[place], key)
    return {m: paired_test(by_clip(results, m, key), other) for m in results.methods[place + 1 :]}


def write_pages(parts: dict[Part, Results]) -> None:
    """Put the tables between the marks of each page."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        written = full_tables(parts) if page.name != "README.md" else short_table(parts)
        page.write_text(put_between(text, MARK, written), encoding="utf-8")


def full_tables(parts: dict[Part, Results]) -> str:
    """Return a table for each kind of clip: means, intervals and tests of each method."""
    image = f"![{CAPTION}](sheets/{SHEET.name})"
    return "\n\n".join([image, *(_full_table(part, results) for part, results in parts.items())])


def _full_table(part: Part, results: Results) -> str:
    rows = []
    controls = [at for at, name in enumerate(results.methods) if name.endswith(CONTROL)]
    for key in (*part.keys, "change"):
        measure = MEASURES_BY_KEY[key]
        arrow = {"lower": " ↓", "higher": " ↑", "neither": ""}[measure.better]
        cells = []
        for method in results.methods:
            estimate = estimate_mean(by_clip(results, method, key))
            cells.append(f"{show(measure, estimate.mean)} ({show_interval(measure, estimate)})")
        rows.append([f"{measure.label}{arrow} {measure.unit}".rstrip(), *cells])
        if measure.better != "neither":
            rows.append(["better in", "–", *_verdicts(against(results, key), measure)])
        for at in controls if key in part.keys else ():
            verdicts = _verdicts(against(results, key, at), measure)
            beside = f"{_comparative(measure)} than with {CONTROL} in"
            rows.append([beside, *["–"] * (at + 1), *verdicts])
    num_clips = len({case.clip for case in results.cases})
    heading = f"**{num_clips} {part.words}** (commit `{results.origin.get('commit', 'unknown')}`)"
    return f"{heading}\n\n{markdown_table(['', *results.methods], rows)}"


def _comparative(measure: Measure) -> str:
    return "higher" if measure.better == "neither" else "better"


def _verdicts(tests: dict[str, PairedTest], measure: Measure) -> list[str]:
    """Return "93 of 100, p < 0.001" for each test, corrected for how many they are."""
    higher = measure.better != "lower"
    p_values = holm([test.p for test in tests.values()])
    return [
        f"{test.larger if higher else test.smaller} of {test.difference.count}, {show_p(p)}"
        for test, p in zip(tests.values(), p_values, strict=True)
    ]


def short_table(parts: dict[Part, Results]) -> str:
    """Return README's table: a row for each method, steadiness and fidelity as columns."""
    results = next(iter(parts.values()))
    shown = [(part, "psnr_db" if "psnr_db" in part.keys else "warp_error") for part in parts]
    columns = ["way of editing"]
    for part, key in shown:
        measure = MEASURES_BY_KEY[key]
        num_clips = len({case.clip for case in parts[part].cases})
        columns.append(f"{measure.label}, {measure.unit}: {num_clips} {part.words}")
    rows = []
    for method in results.methods:
        cells = []
        for part, key in shown:
            measure = MEASURES_BY_KEY[key]
            estimate = estimate_mean(by_clip(parts[part], method, key))
            cells.append(f"{show(measure, estimate.mean)} ({show_interval(measure, estimate)})")
        rows.append([method, *cells])
    commit = results.origin.get("commit", "unknown")
    return (
        "**What each step of the method brings**, from the same seeds, beside editing frame by "
        "frame; mean and 95 % interval (`python benchmarks/quality/ablation.py`, commit "
        f"`{commit}`; [how, tests and further measures](docs/ablation.md)). Warp error is the mean "
        "squared difference along the motion, on [0,1], where a point is seen in both frames.\n\n"
        f"![{CAPTION}]({SHEET.relative_to(ROOT)})\n\n"
        f"{markdown_table(columns, rows)}"
    )


def draw(parts: dict[Part, Results]) -> None:
    """Draw each method's difference to frame by frame, a panel for each kind of clip."""
    figure = Figure(figsize=(3.9 * len(parts), 3.6), layout="constrained")
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for axes, (part, results) in zip(panels, parts.items(), strict=True):
        _draw_panel(axes, part, results)
    SHEET.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(SHEET, dpi=110)


def _draw_panel(axes: Axes, part: Part, results: Results) -> None:
    measure = MEASURES_BY_KEY["psnr_db" if "psnr_db" in part.keys else "warp_error"]
    tests = against(results, measure.key)
    axes.axhline(0, color="0.6", linewidth=1)
    for place, test in enumerate(tests.values()):
        mean, low, high = (
            measure.scale * float(value if value is not None else test.difference.mean)
            for value in (test.difference.mean, test.difference.low, test.difference.high)
        )
        bars = [[mean - low], [high - mean]]
        axes.errorbar([place], [mean], yerr=bars, fmt="o", color="#1d3fbb", capsize=4)
    axes.set_xticks(range(len(tests)), [name.replace(", ", ",\n") for name in tests], fontsize=8)
    axes.set_xlim(-0.6, len(tests) - 0.4)
    arrow = "lower" if measure.better == "lower" else "higher"
    axes.set_title(f"{part.words.replace(', ', chr(10))}\n{arrow} is better", fontsize=9)
    axes.set_ylabel(f"Δ {measure.label}, {measure.unit}", fontsize=9)
    axes.tick_params(axis="y", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
