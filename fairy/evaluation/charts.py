"""Plots of a report as SVG text: lines with bands, and points with bars.

Tests: tests/evaluation/test_charts.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fairy.analysis.plots import colour, new_figure, styled, svg_text

# Width and height in inches
SIZE = (3.8, 2.6)
WIDE = (9.4, 1.9)


@dataclass(frozen=True)
class Line:
    """One line of a chart; None in `y` leaves a gap.

    Attributes:
        style: its colour number.
        x, y: the points.
        low, high: limits of a band around the line, or empty.
        faint: draw it thin, without markers, as one of many.
    """

    style: int
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    faint: bool = False


@dataclass(frozen=True)
class Spot:
    """A point with bars: x and y are (value, low, high)."""

    style: int
    x: tuple[float, float, float]
    y: tuple[float, float, float]


@dataclass(frozen=True)
class Chart:
    """A plot for a page.

    Attributes:
        svg: an <svg> element.
        zero_percent: position of x = 0, in percent of the width.
        unit_percent: distance from x to x + 1, in percent of the width.
    """

    svg: str
    zero_percent: float
    unit_percent: float


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels of a chart's axes.

    Attributes:
        x, y: the quantity, with its unit.
        ticks: ticks of the x axis; whole numbers when empty.
        from_zero: whether the y axis starts at 0.
    """

    x: str
    y: str
    ticks: Sequence[float] = ()
    from_zero: bool = True


@styled()
def line_chart(
    lines: Sequence[Line],
    labels: Labels,
    *,
    dots: bool = True,
    size: tuple[float, float] = SIZE,
) -> Chart:
    """Draw lines in one panel; `dots` marks each point, `size` is in inches."""
    figure, (axes,) = new_figure(1, size)
    draw_lines(axes, lines, labels, dots=dots)
    svg = svg_text(figure, f"{labels.y} against {labels.x}")
    zero, one = (axes.transData.transform((x, 0))[0] / figure.bbox.width for x in (0, 1))
    return Chart(svg, 100 * zero, 100 * (one - zero))


def draw_lines(axes: Axes, lines: Sequence[Line], labels: Labels, *, dots: bool = True) -> None:
    """Draw lines, with at least one point in total, into a panel."""
    for line in lines:
        _draw_line(axes, line, dots=dots)
    values = [v for line in lines for v in (*line.y, *line.low, *line.high) if v is not None]
    axes.set_ylim(*_range(values, from_zero=labels.from_zero))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if labels.ticks:
        axes.set_xticks(labels.ticks)
    axes.set(xlabel=labels.x, ylabel=labels.y)


@styled()
def scatter_chart(spots: Sequence[Spot], *, x_label: str, y_label: str) -> str:
    """Draw points with error bars in both directions."""
    figure, (axes,) = new_figure(1, SIZE)
    for spot in spots:
        bars = [[[value - low], [high - value]] for value, low, high in (spot.x, spot.y)]
        axes.errorbar(
            spot.x[0], spot.y[0], xerr=bars[0], yerr=bars[1], fmt="o", color=colour(spot.style)
        )
    axes.set_xlim(*_range([value for spot in spots for value in spot.x], from_zero=False))
    axes.set_ylim(*_range([value for spot in spots for value in spot.y], from_zero=False))
    axes.set(xlabel=x_label, ylabel=y_label)
    return svg_text(figure, f"{y_label} against {x_label}")


def _draw_line(axes: Axes, line: Line, *, dots: bool) -> None:
    y = np.array([math.nan if value is None else value for value in line.y])
    shown = colour(line.style)
    if line.low:
        axes.fill_between(line.x, line.low, line.high, color=shown, alpha=0.14, linewidth=0)
    if line.faint:
        axes.plot(line.x, y, color=shown, alpha=0.3, linewidth=0.8)
    else:
        axes.plot(line.x, y, color=shown, marker="o" if dots else "", markersize=4)


def _range(values: Sequence[float], *, from_zero: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if from_zero and low >= 0:
        return 0.0, high * 1.08 or 1.0
    # A range of a few percent would make a small difference look large
    room = max(0.12 * (high - low), 0.02 * max(abs(high), abs(low))) or 0.1
    return low - room, high + room
