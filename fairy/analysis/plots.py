"""Matplotlib figures in one style: palette, panels, and SVG text for pages.

Colours have numbers, so a method has the same colour in every plot and table of a report.
Tests: tests/analysis/test_plots.py.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Distinguishable without red-green vision, and by lightness in print
PALETTE = (
    "#8b919b", "#c98600", "#2f9fc4", "#1d3fbb", "#0f7f5c", "#9333a8", "#b4442d", "#5c4a32",
)  # fmt: skip
SVG_METADATA = ("Creator", "Date", "Format", "Type")
# Any: Matplotlib's own type is a union of all its setting names
STYLE: Any = MappingProxyType(
    {
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.size": 9,
        "grid.color": "#dfe2e7",
        "legend.frameon": False,
        "svg.fonttype": "none",
        # The same figure gives the same SVG text
        "svg.hashsalt": "fairy",
        "ytick.left": False,
    }
)


@contextmanager
def styled() -> Iterator[None]:
    """Draw figures in `STYLE` inside this block or, as a decorator, in a function."""
    with matplotlib.rc_context(STYLE):
        yield


def colour(number: int) -> str:
    """Return the colour with this number; they repeat after eight."""
    return PALETTE[number % len(PALETTE)]


@styled()
def new_figure(columns: int, panel: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Return a figure with `columns` panels in a row, each `panel` (width, height) inches."""
    figure = Figure(figsize=(columns * panel[0], panel[1]), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


@styled()
def svg_text(figure: Figure, label: str) -> str:
    """Return the figure as an <svg> element for a page; `label` is for screen readers."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(SVG_METADATA))
    # Drop the XML declaration in front of the element
    element = file.getvalue()
    opening = f'<svg class="chart" role="img" aria-label="{escape(label)}" '
    return opening + element[element.index("<svg ") + len("<svg ") :]
