"""Plots of what the models' attention knows of motion: the paper's figure 2, for a report.

Tests: tests/evaluation/test_tracking_figures.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fairy.analysis.figures import by_layer
from fairy.analysis.tracking import THRESHOLDS_PX, LayerAccuracy, TrackingAccuracy
from fairy.evaluation.charts import Line, line_chart

SIZE = (540, 260)
LIMIT_STYLE, STILL_STYLE, FIRST_MODEL_STYLE = 0, 1, 3
MOST_TICKS = 10


def tracking_legend(tracking: Mapping[str, TrackingAccuracy]) -> list[tuple[int, str]]:
    """Return the number of each line's colour, and what the line is."""
    models = [(FIRST_MODEL_STYLE + i, f"attention of {name}") for i, name in enumerate(tracking)]
    given = [
        (LIMIT_STYLE, "the best its tokens allow"),
        (STILL_STYLE, "taking points to stand still"),
    ]
    return [*models, *given] if models else []


def tracking_charts(tracking: Mapping[str, TrackingAccuracy]) -> list[tuple[str, str]]:
    """Return (SVG, caption) for each threshold: accuracy by layer, thin: the first model's steps.

    Args:
        tracking: by model, on the same points; empty draws nothing.
    """
    return [(_chart(tracking, px), f"Within {px} px of 256.") for px in THRESHOLDS_PX if tracking]


def _chart(tracking: Mapping[str, TrackingAccuracy], px: int) -> str:
    first = next(iter(tracking.values()))
    limit = [100 * limit[px] for _, limit in by_layer(first)]
    layers = list(range(1, len(limit) + 1))
    still = [100 * first.standing_still[px]] * len(layers)
    lines = [
        Line("the best its tokens allow", LIMIT_STYLE, layers, limit, plain=True),
        Line("standing still", STILL_STYLE, layers, still, plain=True),
    ]
    for step, rows in enumerate(_steps(first)):
        shares = [100 * row.within[px] for row in rows]
        lines.append(Line(f"step {step + 1}", FIRST_MODEL_STYLE, layers, shares, faint=True))
    for style, (name, accuracy) in enumerate(tracking.items(), FIRST_MODEL_STYLE):
        found = [100 * found[px] for found, _ in by_layer(accuracy)]
        lines.append(Line(name, style, layers[: len(found)], found))
    ticks = layers[:: 1 if len(layers) <= MOST_TICKS else 2]
    return line_chart(lines, x_label="layer", y_label="points found, %", ticks=ticks, size=SIZE)


def _steps(accuracy: TrackingAccuracy) -> list[Sequence[LayerAccuracy]]:
    """Return the layers' rows of each step, steps in order."""
    steps = sorted({row.step for row in accuracy.layers})
    return [[row for row in accuracy.layers if row.step == step] for step in steps]
