"""Draw the curves of a run as one picture: loss, validation and speed over the steps.

Tests: tests/training/run/test_curves.py.
"""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Points = list[tuple[int, float]]
# The smooth line averages over this many points; curves with fewer have markers.
SPAN = 10
MAX_MARKED = 50


def read_metrics(path: Path) -> dict[str, Points]:
    """Return (step, value) of every metric in a `metrics.jsonl`, in order."""
    points: dict[str, Points] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        step = entry.pop("step")
        for name, value in entry.items():
            points.setdefault(name, []).append((step, value))
    return points


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draw one panel per metric; the loss comes first, smoothed and on a logarithmic scale.

    Args:
        metrics: a `metrics.jsonl`; if it is empty, nothing is drawn.
        picture: the PNG to write.
    """
    points = read_metrics(metrics)
    names = sorted(points, key=lambda name: (name != "loss", "validation" not in name, name))
    if not names:
        return
    figure = Figure(figsize=(8, 2.2 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0]
    for axes, name in zip(panels, names, strict=True):
        _draw_panel(axes, name, points[name])
    panels[-1].set_xlabel("step")
    figure.savefig(picture, dpi=100)


def _draw_panel(axes: Axes, name: str, points: Points) -> None:
    steps, values = zip(*points, strict=True)
    marker = "." if len(steps) <= MAX_MARKED else ""
    axes.plot(steps, values, marker=marker, alpha=0.4 if name == "loss" else 1.0)
    if name == "loss":
        axes.plot(steps, smooth(values), color="tab:blue")
        axes.set_yscale("log")
    axes.set_ylabel(name.replace("_", " "))
    axes.grid(alpha=0.3)


def smooth(values: tuple[float, ...]) -> list[float]:
    """Return the running mean of values: the mean of all at first, then exponential over `SPAN`."""
    smoothed = [values[0]]
    for count, value in enumerate(values[1:], start=2):
        smoothed.append(smoothed[-1] + (value - smoothed[-1]) / min(count, SPAN))
    return smoothed
