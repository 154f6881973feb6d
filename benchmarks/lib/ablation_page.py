"""The ablation's results as pages: a finding for docs/measured.md, all for docs/ablation.md.

Tests: tests/benchmarks/lib/test_ablation_page.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from benchmarks.lib.pages import markdown_table, put_between
from fairy.analysis.plots import colour, new_figure, styled
from fairy.evaluation.measures import MEASURES_BY_KEY, Measure
from fairy.evaluation.results import Results
from fairy.evaluation.statistics import PairedTest, RelativeChange, estimate_mean, holm, paired_test
from fairy.evaluation.steps import CONTROL, means_by_edit, method_steps
from fairy.evaluation.tables import show, show_interval, show_p

MARK = "ablation"
DOCUMENT, FINDINGS, SHEET = "docs/ablation.md", "docs/measured.md", "docs/sheets/ablation.png"
CAPTION = "Change of the warp error by each step of the method, with 95 % intervals"
ARROWS = {"lower": " ↓", "higher": " ↑", "neither": ""}


@dataclass(frozen=True)
class Part:
    """A kind of clip.

    Attributes:
        name: name of its files.
        words: its name in a table's heading, after the number of clips.
        keys: the measures to show.
        real: whether the clips are real; otherwise they are rendered.
        free: whether edits have a free choice; otherwise an exact result.
    """

    name: str
    words: str
    keys: tuple[str, ...]
    real: bool
    free: bool


FREE_KEYS = ("warp_error", "edit_db", "hold_db", "sharpness")
PARTS = (
    Part("real-open", "real clips, edits with a free choice", FREE_KEYS, real=True, free=True),
    Part(
        "rendered-open", "rendered clips, edits with a free choice", FREE_KEYS,
        real=False, free=True,
    ),
    Part(
        "real-exact", "real clips, edits with an exact result", ("warp_error", "psnr_db"),
        real=True, free=False,
    ),
    Part(
        "rendered-exact", "rendered clips, edits with an exact result", ("warp_error", "psnr_db"),
        real=False, free=False,
    ),
)  # fmt: skip


def write_pages(parts: Mapping[Part, Results], root: Path) -> None:
    """Write the finding, the tables and the plot into the pages under `root`.

    Raises:
        ValueError: nothing was measured, or a page has no marks.
    """
    if not parts:
        raise ValueError("no results: run benchmarks/quality/ablation.py without --draw first")
    free = {part: results for part, results in parts.items() if part.free}
    for name, text in ((DOCUMENT, full_tables(parts)), (FINDINGS, finding(free))):
        path = root / name
        page = path.read_text(encoding="utf-8")
        path.write_text(put_between(page, MARK, text), encoding="utf-8")
    if free:
        draw_steps(free, root / SHEET)


def finding(parts: Mapping[Part, Results]) -> str:
    """Return the finding: how each step changes the warp error, with a column per kind."""
    if not parts:
        return "Not measured yet: `make evidence`."
    results = next(iter(parts.values()))
    commit = results.origin.get("commit", "unknown")
    return (
        "**What makes an edit hold still.** Change of the warp error by each step, from the same "
        "weights and seeds, for edits that leave colours open, so that an editor may choose others "
        "in every frame: mean, 95 % interval, and clips in which it fell. The warp error is the "
        "mean squared difference along the motion of the source "
        f"(`make evidence`, commit `{commit}`; [how, and more measures]({Path(DOCUMENT).name})).\n"
        "\n"
        f"![{CAPTION}](sheets/{Path(SHEET).name})\n\n{steps_table(parts)}"
    )


def steps_table(parts: Mapping[Part, Results]) -> str:
    """Return a table with a row per step and a column per kind of clip."""
    rows: dict[tuple[str, str], dict[Part, str]] = defaultdict(dict)
    for part, results in parts.items():
        for step in method_steps(results):
            rows[step.before, step.after][part] = change_in_words(step.change)
    columns = ["step", *(f"{_num_clips(results)} {part.words}" for part, results in parts.items())]
    return markdown_table(
        columns,
        [
            [f"{before} → {after}", *(cells.get(part, "–") for part in parts)]
            for (before, after), cells in rows.items()
        ],
    )


def change_in_words(change: RelativeChange) -> str:
    """Return "−87.1 % (−91.8 to −81.1), 12 of 12"."""
    percent = change.percent
    mean = _signed(percent.mean)
    interval = ""
    if percent.low is not None and percent.high is not None:
        interval = f" ({_signed(percent.low)} to {_signed(percent.high)})"
    return f"{mean} %{interval}, {change.smaller} of {percent.count}"


def full_tables(parts: Mapping[Part, Results]) -> str:
    """Return the steps, then each kind of clip's measures, in total and by edit."""
    sections = [f"![{CAPTION}](sheets/{Path(SHEET).name})", steps_table(parts)]
    for part, results in parts.items():
        sections.append(_measures_table(part, results))
        if part.free:
            sections.append(_edits_table(results))
    return "\n\n".join(sections)


def _measures_table(part: Part, results: Results) -> str:
    measured = {measure.key for measure in results.measures}
    keys = [key for key in (*part.keys, "change") if key in measured]
    rows = [row for key in keys for row in _measure_rows(results, MEASURES_BY_KEY[key])]
    heading = f"**{_num_clips(results)} {part.words}** ({_origin(results)})"
    return f"{heading}\n\n{markdown_table(['', *results.methods], rows)}"


def _measure_rows(results: Results, measure: Measure) -> list[list[str]]:
    """Return a row of means and rows of tests against the first method and the control."""
    methods = results.methods
    estimates = [estimate_mean(by_clip(results, method, measure.key)) for method in methods]
    cells = [f"{show(measure, e.mean)} ({show_interval(measure, e) or 'one'})" for e in estimates]
    rows = [[f"{measure.label}{ARROWS[measure.better]} {measure.unit}".rstrip(), *cells]]
    if measure.better == "neither":
        return rows
    verdicts = _verdicts(against(results, measure.key), measure)
    rows.append(["better than the first in", "–", *verdicts])
    for at in (at for at, name in enumerate(methods) if name.endswith(CONTROL)):
        verdicts = _verdicts(against(results, measure.key, at), measure)
        rows.append([f"better than with {CONTROL} in", *["–"] * (at + 1), *verdicts])
    return rows


def _edits_table(results: Results) -> str:
    """Return by edit and method: PSNR to the best choice by frame / by clip, and warp error."""
    by_frame, by_clip_db, warp, unedited = (
        means_by_edit(results, key) for key in ("edit_db", "hold_db", "warp_error", "unedited_db")
    )
    measure = MEASURES_BY_KEY["warp_error"]
    rows = []
    for edit, errors in warp.items():
        cells = []
        for method in results.methods:
            found = [means.get(edit, {}).get(method) for means in (by_frame, by_clip_db)]
            psnrs = " / ".join("–" if value is None else f"{value:.1f}" for value in found)
            cells.append(f"{psnrs} dB, {show(measure, errors[method])}")
        of_source = unedited.get(edit, {}).get(results.methods[0])
        source = "–" if of_source is None else f"{of_source:.1f} dB"
        rows.append([edit.replace("_", " "), source, *cells])
    heading = (
        "By edit: PSNR to the edit with the best choice for each frame / for the clip, and warp "
        f"error, {measure.unit}. The source: the value of an unedited clip, by frame."
    )
    return f"{heading}\n\n{markdown_table(['edit', 'the source', *results.methods], rows)}"


def by_clip(results: Results, method: str, key: str) -> list[float]:
    """Return a method's scores, one for each clip: the mean over its instructions."""
    found = defaultdict(list)
    for case in results.of(method):
        # A missing value depends on the clip and the edit, so it is missing for every method
        if key in case.scores.values:
            found[case.clip].append(case.scores.values[key])
    return [float(np.mean(values)) for values in found.values()]


def against(results: Results, key: str, place: int = 0) -> dict[str, PairedTest]:
    """Return the test of each later method against the one at `place`."""
    other = by_clip(results, results.methods[place], key)
    later = results.methods[place + 1 :]
    return {method: paired_test(by_clip(results, method, key), other) for method in later}


def _verdicts(tests: Mapping[str, PairedTest], measure: Measure) -> list[str]:
    """Return "93 of 100, p < 0.001" for each test, corrected for their number."""
    higher = measure.better != "lower"
    p_values = holm([test.p for test in tests.values()])
    return [
        f"{test.larger if higher else test.smaller} of {test.difference.count}, {show_p(p)}"
        for test, p in zip(tests.values(), p_values, strict=True)
    ]


@styled()
def draw_steps(parts: Mapping[Part, Results], path: Path) -> None:
    """Draw the change of the warp error by each step, with a panel per kind of clip."""
    figure, panels = new_figure(len(parts), (5.2, 2.6))
    for axes, (part, results) in zip(panels, parts.items(), strict=True):
        _draw_panel(axes, f"{_num_clips(results)} {part.words}", results)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _draw_panel(axes: Axes, title: str, results: Results) -> None:
    steps = method_steps(results)
    for place, step in enumerate(steps):
        percent = step.change.percent
        low, high = (percent.mean if x is None else x for x in (percent.low, percent.high))
        bars = [[percent.mean - low], [high - percent.mean]]
        axes.errorbar([percent.mean], [place], xerr=bars, fmt="o", color=colour(3), capsize=3)
    axes.axvline(0, color=colour(0), linewidth=1)
    axes.set_yticks(range(len(steps)), [f"{step.before}\n→ {step.after}" for step in steps])
    axes.set_ylim(len(steps) - 0.5, -0.5)
    axes.grid(axis="x")
    axes.set(title=title.replace(", ", "\n"), xlabel="change of the warp error, %")


def _num_clips(results: Results) -> int:
    return len({case.clip for case in results.cases})


def _origin(results: Results) -> str:
    origin = results.origin
    return f"commit `{origin.get('commit', 'unknown')}`, {origin.get('processor', 'unknown')}"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
