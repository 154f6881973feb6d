"""The curves of a run as one picture: loss, validation and speed over the steps.

Tests: tests/training/test_curves.py.
"""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure

Points = list[tuple[int, float]]
# Share of the height of a jump that the smooth line follows per point.
SMOOTHING = 0.1


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
    """Draw one panel for each metric, the loss first, on a logarithmic scale and smoothed.

    Args:
        metrics: a `metrics.jsonl`; without a line nothing is drawn.
        picture: a PNG.
    """
    points = read_metrics(metrics)
    names = sorted(points, key=lambda name: (name != "loss", "validation" not in name, name))
    if not names:
        return
    figure = Figure(figsize=(8, 2.2 * len(names)), layout="constrained")
    for axes, name in zip(figure.subplots(len(names), 1, squeeze=False)[:, 0], names, strict=True):
        steps, values = zip(*points[name], strict=True)
        axes.plot(steps, values, color="tab:blue", alpha=0.4 if name == "loss" else 1.0, marker=".")
        if name == "loss":
            axes.plot(steps, smooth(values), color="tab:blue")
            axes.set_yscale("log")
        axes.set_ylabel(name.replace("_", " "))
        axes.grid(alpha=0.3)
    axes.set_xlabel("step")
    figure.savefig(picture, dpi=100)


def smooth(values: tuple[float, ...]) -> list[float]:
    """Return the running mean of some values, exponential, starting at the first."""
    smoothed = [values[0]]
    for value in values[1:]:
        smoothed.append(smoothed[-1] + SMOOTHING * (value - smoothed[-1]))
    return smoothed
