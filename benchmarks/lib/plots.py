"""Plot one run's results: time by stage, memory against length, speed against F.

Tests: tests/benchmarks/lib/test_plots.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from fairy.analysis.plots import colour, new_figure, styled

Row = dict[str, Any]

STAGES = {
    "vae_encode_s": "VAE encode", "anchors_s": "anchors", "frames_s": "frames",
    "vae_decode_s": "VAE decode", "idle_s": "idle",
}  # fmt: skip
# Colour numbers, one per stage
COLOURS = (2, 6, 3, 4, 0)


@styled()
def draw_speed(rows: Sequence[Row], picture: Path) -> None:
    """Draw the three panels as a PNG; a panel without rows has a note instead."""
    figure, panels = new_figure(3, (4, 3.8))
    edits = [row for row in rows if row["benchmark"] == "edit"]
    _draw_stages(panels[0], whole_edits(edits))
    _draw_memory(panels[1], by_length(rows))
    _draw_batches(panels[2], by_batch(edits))
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


def whole_edits(edits: Sequence[Row]) -> list[Row]:
    """Return the first and steady runs of exact edits with all steps that were repeated."""
    steady = {_settings(row) for row in edits if row["run"] == "steady"}
    most = max((row["steps"] for row in edits), default=0)
    return [
        row
        for row in edits
        if row["mode"] == "exact" and row["steps"] == most and _settings(row) in steady
    ]


def by_batch(edits: Sequence[Row]) -> list[Row]:
    """Return the largest set of rows that differ only in F, sorted by F."""
    kinds: dict[tuple[Any, ...], dict[int, Row]] = {}
    for row in sorted(edits, key=lambda row: row["run"], reverse=True):
        kinds.setdefault((*_settings(row)[:-1], row["run"]), {})[row["F"]] = row
    most: dict[int, Row] = max(kinds.values(), key=len, default={})
    return [most[size] for size in sorted(most)] if len(most) > 1 else []


def by_length(rows: Sequence[Row]) -> list[Row]:
    """Return rows of clips with several lengths: of `memory_by_length.py`, else of whole edits."""
    memory = [row for row in rows if row["benchmark"] == "memory"]
    if not memory:
        kinds: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            if row["benchmark"] == "edit":
                kind = (row["mode"], row["size"], row["steps"], row["F"], row["run"])
                kinds.setdefault(kind, []).append(row)
        memory = max(kinds.values(), key=len, default=[])
    return sorted(memory, key=lambda row: row["num_frames"])


def _settings(row: Row) -> tuple[Any, ...]:
    return (row["model"], row["mode"], row["size"], row["num_frames"], row["steps"], row["F"])


def _draw_stages(axes: Axes, rows: Sequence[Row]) -> None:
    if not rows:
        _note_missing(axes, "time by stage")
        return
    names = [f"{row['size']}\n{row['num_frames']} frames\n{row['run']} run" for row in rows]
    left = [0.0] * len(rows)
    for (key, name), number in zip(STAGES.items(), COLOURS, strict=True):
        widths = [row[key] for row in rows]
        axes.barh(names, widths, left=left, color=colour(number), label=name)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.set_title(f"Time by stage, {rows[0]['model']}")
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3)


def _draw_memory(axes: Axes, rows: Sequence[Row]) -> None:
    if not rows:
        _note_missing(axes, "memory against length")
        return
    axes.plot([row["num_frames"] for row in rows], [row["peak_mb"] for row in rows], "o-")
    axes.set_xticks([row["num_frames"] for row in rows])
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.25 * max(row["peak_mb"] for row in rows))
    axes.set_xlabel("frames of the clip")
    axes.set_ylabel("peak memory, MB")
    axes.set_title("Memory against length")
    axes.grid(alpha=0.3)


def _draw_batches(axes: Axes, rows: Sequence[Row]) -> None:
    if not rows:
        _note_missing(axes, "speed against F")
        return
    sizes = [row["F"] for row in rows]
    axes.plot(sizes, [row["fps"] for row in rows], "o-")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("frames at a time, F")
    axes.set_ylabel("frames per second")
    axes.set_title(f"Speed against F, {rows[0]['size']}, {rows[0]['steps']} steps")
    axes.grid(alpha=0.3)


def _note_missing(axes: Axes, what: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, f"{what}: not measured", ha="center")
