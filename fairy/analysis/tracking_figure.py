"""Tracking accuracy by layer as a Matplotlib figure: the paper's figure 2.

Tests: tests/analysis/test_tracking_figure.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fairy.analysis.plots import colour, new_figure, styled
from fairy.analysis.tracking import THRESHOLDS_PX, TrackingAccuracy, by_layer

# Width and height of a panel in inches
PANEL = (3.1, 3.4)
# Colour numbers
LIMIT, STILL, FIRST_MODEL = 0, 1, 3


@styled()
def accuracy_figure(tracking: Mapping[str, TrackingAccuracy], title: str = "") -> Figure:
    """Return a panel for each threshold: share of points found, by layer (the paper's figure 2).

    A bold line per model is the mean over its steps; thin lines are the steps of the first model.
    Two more lines show the best that the token grid allows, and the result of assuming no motion.

    Args:
        tracking: by model, on the same points; at least one.
        title: title above the panels.
    """
    figure, panels = new_figure(len(THRESHOLDS_PX), PANEL)
    for axes, px in zip(panels, THRESHOLDS_PX, strict=True):
        _draw_panel(axes, tracking, px)
    panels[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in panels[1:]:
        axes.tick_params(labelleft=False)
    figure.suptitle(title)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _draw_panel(axes: Axes, tracking: Mapping[str, TrackingAccuracy], px: int) -> None:
    first = next(iter(tracking.values()))
    limit = [limit[px] for _, limit in by_layer(first)]
    layers = range(1, len(limit) + 1)
    axes.plot(layers, limit, color=colour(LIMIT), label="the best its tokens allow")
    still = [first.standing_still[px]] * len(limit)
    axes.plot(layers, still, color=colour(STILL), label="assuming that points do not move")
    for step in sorted({row.step for row in first.layers}):
        found = [row.within[px] for row in first.layers if row.step == step]
        axes.plot(layers[: len(found)], found, color=colour(FIRST_MODEL), alpha=0.3, linewidth=0.8)
    for number, (name, accuracy) in enumerate(tracking.items(), FIRST_MODEL):
        found = [found[px] for found, _ in by_layer(accuracy)]
        (line,) = axes.plot(layers[: len(found)], found, color=colour(number), marker="o")
        line.set(markersize=4, label=f"attention of {name}")
    axes.set(title=f"within {px} px of 256", ylim=(0, 1.02), xlabel="layer, in running order")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
