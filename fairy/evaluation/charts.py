"""Plots as SVG text, drawn with a page's own style sheet: lines with bands, and points with bars.

Colours come from the classes `s0`, `s1`, ... of `page/report.css`, so that a method has the same
colour everywhere. Tests: tests/evaluation/test_charts.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

# Width and height of a chart, and its margins, in px
SIZE = (380, 260)
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 16, 46
NUM_TICKS = 5


@dataclass(frozen=True)
class Line:
    """Values against a number; None leaves a gap.

    Attributes:
        name: said when the mouse rests on a point.
        style: number of its colour.
        x, y: the points.
        low, high: of a band around them, or empty.
        faint: drawn thin, without marks: one of many.
        plain: drawn without marks: a bound, or what needs no reading off.
    """

    name: str
    style: int
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    faint: bool = False
    plain: bool = False


@dataclass(frozen=True)
class Spot:
    """A point with bars: x and y are (value, low, high)."""

    name: str
    style: int
    x: tuple[float, float, float]
    y: tuple[float, float, float]


@dataclass(frozen=True)
class Frame:
    """The axes: the range of values in each direction, and where they fall on the page."""

    x: tuple[float, float]
    y: tuple[float, float]
    size: tuple[int, int] = SIZE

    @property
    def right(self) -> int:
        """The page's x of the x axis's end."""
        return self.size[0] - RIGHT

    @property
    def bottom(self) -> int:
        """The page's y of the x axis."""
        return self.size[1] - BOTTOM

    def left(self, x: float) -> float:
        """Return the page's x of a value."""
        return LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (self.right - LEFT)

    def top(self, y: float) -> float:
        """Return the page's y of a value."""
        return self.bottom - (y - self.y[0]) / (self.y[1] - self.y[0]) * (self.bottom - TOP)

    def at(self, x: float, y: float) -> str:
        """Return a point as SVG coordinates."""
        return f"{self.left(x):.1f},{self.top(y):.1f}"


def line_chart(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    ticks: Sequence[float] = (),
    from_zero: bool = True,
    dots: bool = True,
    size: tuple[int, int] = SIZE,
) -> str:
    """Draw lines over each other.

    Args:
        lines: at least one point among them.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        ticks: of the x axis; even ones when empty.
        from_zero: whether the y axis starts at 0.
        dots: whether each point is marked.
        size: width and height in px.
    """
    values = [v for line in lines for v in (*line.y, *line.low, *line.high) if v is not None]
    xs = [x for line in lines for x in line.x]
    frame = Frame(_span(xs, 0.02), _widened(values, from_zero=from_zero), size)
    drawn = [_band(line, frame) for line in lines if line.low]
    drawn += [_path(line, frame, dots=dots) for line in lines]
    return _svg(frame, drawn, x_label, y_label, ticks)


def scatter_chart(spots: Sequence[Spot], *, x_label: str, y_label: str) -> str:
    """Draw points with bars in both directions."""
    xs = [value for spot in spots for value in spot.x]
    ys = [value for spot in spots for value in spot.y]
    frame = Frame(_widened(xs, from_zero=False), _widened(ys, from_zero=False))
    return _svg(frame, [_spot(spot, frame) for spot in spots], x_label, y_label, ())


def nice_ticks(low: float, high: float, count: int = NUM_TICKS) -> list[float]:
    """Return round numbers from `low` to `high`, about `count` of them.

    >>> nice_ticks(0.0, 1.03)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _span(values: Sequence[float], margin: float) -> tuple[float, float]:
    """Return the range of values, wider by a share of itself on both sides; never empty."""
    low, high = min(values), max(values)
    room = margin * (high - low) or 0.5
    return low - room, high + room


def _widened(values: Sequence[float], *, from_zero: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if from_zero and low >= 0:
        return 0.0, high * 1.08 or 1.0
    # A range of a few percent would make nothing look like much
    room = max(0.12 * (high - low), 0.02 * max(abs(high), abs(low))) or 0.1
    return low - room, high + room


def _path(line: Line, frame: Frame, *, dots: bool) -> str:
    points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if y is not None]
    kind, path = "faint" if line.faint else "line", " L".join(frame.at(x, y) for x, y in points)
    marks = "".join(
        f'<circle class="dot" cx="{frame.left(x):.1f}" cy="{frame.top(y):.1f}" r="3.2">'
        f"<title>{escape(line.name)}: {x:g}, {y:.4g}</title></circle>"
        for x, y in (points if dots and not (line.faint or line.plain) else [])
    )
    return f'<g class="s{line.style}"><path class="{kind}" d="M{path}"/>{marks}</g>'


def _band(line: Line, frame: Frame) -> str:
    upper = [frame.at(x, y) for x, y in zip(line.x, line.high, strict=True)]
    lower = [frame.at(x, y) for x, y in zip(line.x, line.low, strict=True)]
    return f'<polygon class="band s{line.style}" points="{" ".join(upper + lower[::-1])}"/>'


def _spot(spot: Spot, frame: Frame) -> str:
    x, y = frame.left(spot.x[0]), frame.top(spot.y[0])
    bars = (
        f"M{frame.at(spot.x[1], spot.y[0])} L{frame.at(spot.x[2], spot.y[0])} "
        f"M{frame.at(spot.x[0], spot.y[1])} L{frame.at(spot.x[0], spot.y[2])}"
    )
    return (
        f'<g class="s{spot.style}"><path class="bar" d="{bars}"/>'
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5">'
        f"<title>{escape(spot.name)}</title></circle></g>"
    )


def _svg(
    frame: Frame, drawn: Sequence[str], x_label: str, y_label: str, ticks: Sequence[float]
) -> str:
    right, bottom = frame.right, frame.bottom
    width, height = frame.size
    rows = "".join(
        f'<path class="grid" d="M{LEFT},{frame.top(y):.1f} H{right}"/>'
        + _text("tick", LEFT - 8, frame.top(y) + 4, f"{y:g}".replace("-", "−"), "end")
        for y in nice_ticks(*frame.y)
    )
    columns = "".join(
        f'<path class="axis" d="M{frame.left(x):.1f},{bottom} v4"/>'
        + _text("tick", frame.left(x), bottom + 17, f"{x:g}", "middle")
        for x in ticks or nice_ticks(*frame.x)
    )
    middle = (TOP + bottom) / 2
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(y_label)} against {escape(x_label)}">{rows}{columns}'
        f'<path class="axis" d="M{LEFT},{bottom} H{right}"/>{_cursor(frame)}{"".join(drawn)}'
        f"{_text('label', (LEFT + right) / 2, height - 8, x_label, 'middle')}"
        f'<text class="label" transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text></svg>"
    )


def _text(kind: str, x: float, y: float, text: str, anchor: str) -> str:
    place = f'class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"


def _cursor(frame: Frame) -> str:
    """Return a hidden vertical line, for a player to move: `data-zero` and `data-unit` in px."""
    zero = frame.left(0)
    return (
        f'<path class="cursor" d="M0,{TOP} V{frame.bottom}" data-zero="{zero:.2f}" '
        f'data-unit="{frame.left(1) - zero:.4f}"/>'
    )
