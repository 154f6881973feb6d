"""The plots of a report, drawn with `fairy.evaluation.charts`.

Tests: tests/evaluation/test_report.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairy.evaluation.charts import (
    WIDE,
    Chart,
    Labels,
    Line,
    Spot,
    line_chart,
    scatter_chart,
)
from fairy.evaluation.measures import MEASURES_BY_KEY, Measure
from fairy.evaluation.pictures import ClipView
from fairy.evaluation.results import Case, Results
from fairy.evaluation.statistics import Estimate, estimate_mean

# The colour of the method whose settings are varied
SWEPT_STYLE = 3
# Shorter clips are too short to drift
LEAST_FRAMES_FOR_DRIFT = 32
SWEPT_MEASURES = ("warp_error", "psnr_db", "edit_db", "sharpness")
SETTINGS = {
    "num_anchors": "Number of anchors",
    "num_inference_steps": "Denoising steps",
}


@dataclass(frozen=True)
class Figure:
    """A plot and its caption."""

    svg: str
    caption: str


def overview_figures(results: Results) -> list[Figure]:
    """Return the plots over all clips: the trade-off, and errors against time."""
    figures = [
        _trade_off(results),
        _against_time(results, "warp_error"),
        _against_time(results, "drift"),
    ]
    return [figure for figure in figures if figure is not None]


def sweep_figures(results: Results) -> list[Figure]:
    """Return the plots of varied settings: the paper's figures 19 and 20."""
    figures = []
    for setting, cases in results.sweeps.items():
        for key in SWEPT_MEASURES:
            if (swept := swept_lines(setting, cases, key)) is not None:
                lines, labels = swept
                num_clips = len(lines) - 1
                which = f"thin: each of {num_clips} clips" if num_clips > 1 else "one clip"
                caption = f"{MEASURES_BY_KEY[key].label} by {labels.x.lower()}; {which}."
                figures.append(Figure(line_chart(lines, labels).svg, caption))
    return figures


def swept_lines(setting: str, cases: Sequence[Case], key: str) -> tuple[list[Line], Labels] | None:
    """Return lines of a measure against a setting: thin ones per clip, then their mean in bold.

    None if the measure was taken for fewer than two values.
    """
    measure = MEASURES_BY_KEY[key]
    values = sorted({int(case.method) for case in cases})
    clips: dict[tuple[str, str, int], dict[int, float]] = {}
    for case in cases:
        if key in case.scores.values:
            scaled = case.scores.values[key] * measure.scale
            clips.setdefault(case.key, {})[int(case.method)] = scaled
    rows = [[clip[value] for value in values] for clip in clips.values()]
    if not rows or len(values) < 2:
        return None
    lines = [Line(SWEPT_STYLE, values, row, faint=True) for row in rows]
    lines.append(Line(SWEPT_STYLE, values, np.mean(rows, axis=0).tolist()))
    from_zero = key == "warp_error"
    labels = Labels(x=SETTINGS[setting], y=_axis(measure), ticks=values, from_zero=from_zero)
    return lines, labels


def clip_curve(view: ClipView) -> Chart | None:
    """Return a clip's warp error against time, with a line per method; None if none is known."""
    measure = MEASURES_BY_KEY["warp_error"]
    lines = [
        Line(version.style or 0, *_against_frames(version.scores.series["warp_error"]))
        for version in view.versions
        if version.scores is not None
    ]
    if all(value is None for line in lines for value in line.y):
        return None
    labels = Labels(x="frame", y=_axis(measure))
    return line_chart(lines, labels, size=WIDE, dots=view.num_frames <= 48)


def _trade_off(results: Results) -> Figure | None:
    """Plot steadiness against faithfulness, as differences from the reference on the same clips."""
    warp, psnr = MEASURES_BY_KEY["warp_error"], MEASURES_BY_KEY["psnr_db"]
    reference, spots = results.reference, []
    for style, method in enumerate(results.methods):
        tests = [results.test(method, reference, m.key) for m in (warp, psnr)] if reference else []
        if all(tests) and tests:
            x, y = (test.difference for test in tests if test)
            spots.append(Spot(style, _bars(x, warp), _bars(y, psnr)))
    if len(spots) < 2:
        return None
    return Figure(
        scatter_chart(spots, x_label=f"Δ {_axis(warp)}", y_label=f"Δ {_axis(psnr)}"),
        f"Steadiness and faithfulness, as differences from {reference} on the same clips: up and "
        "to the left is better. Bars: 95 % intervals.",
    )


def _against_time(results: Results, key: str) -> Figure | None:
    """Plot a measure at each frame, as the mean over clips with intervals."""
    measure, lines = MEASURES_BY_KEY[key], []
    for style, method in enumerate(results.methods):
        rows = [case.scores.series.get(key, []) for case in results.of(method)]
        estimates = [_at(rows, t) for t in range(max(map(len, rows), default=0))]
        first = 1 if key == "warp_error" else 0
        points = [(t + first, e) for t, e in enumerate(estimates) if e is not None]
        if points:
            lines.append(_line(style, points, measure))
    least = LEAST_FRAMES_FOR_DRIFT if key == "drift" else 2
    if not lines or max(len(line.x) for line in lines) < least:
        return None
    many = max(len(results.of(method)) for method in results.methods) > 1
    chart = line_chart(lines, Labels(x="frame", y=_axis(measure)), dots=False)
    name = f"{measure.label} against time"
    return Figure(chart.svg, f"{name}{', mean over clips and 95 % interval' if many else ''}.")


def _line(style: int, points: Sequence[tuple[int, Estimate]], measure: Measure) -> Line:
    scaled = [(x, *_bars(estimate, measure)) for x, estimate in points]
    xs, ys, low, high = (list(column) for column in zip(*scaled, strict=True))
    single = all(estimate.low is None for _, estimate in points)
    return Line(style, xs, ys, [] if single else low, [] if single else high)


def _bars(estimate: Estimate, measure: Measure) -> tuple[float, float, float]:
    """Return mean, low and high, scaled; all three are the mean for a single clip."""
    low = estimate.mean if estimate.low is None else estimate.low
    high = estimate.mean if estimate.high is None else estimate.high
    return estimate.mean * measure.scale, low * measure.scale, high * measure.scale


def _at(rows: Sequence[Sequence[float | None]], t: int) -> Estimate | None:
    """Return the estimate over clips at frame t."""
    values = [value for row in rows if t < len(row) and (value := row[t]) is not None]
    return estimate_mean(values) if values else None


def _against_frames(series: Sequence[float | None]) -> tuple[list[float], list[float | None]]:
    """Return frames and scaled warp errors of a clip, each at the later of its two frames."""
    scale = MEASURES_BY_KEY["warp_error"].scale
    values = [None if value is None else value * scale for value in series]
    return np.arange(1.0, len(series) + 1).tolist(), values


def _axis(measure: Measure) -> str:
    return f"{measure.label}, {measure.unit}" if measure.unit else measure.label
