"""Write the results of `eval_mini.py` and of a suite into the documents, as tables and plots.

docs/quality.md: looks, local edits, autoencoder, speed, anchors and steps; docs/metrics.md:
tracking by layer. Each has its own marks. Tests: tests/benchmarks/lib/test_quality_page.py.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.lib.pages import markdown_table, put_between
from fairy.analysis.attention_maps import short_name
from fairy.analysis.plots import new_figure, styled
from fairy.analysis.tracking import THRESHOLDS_PX, TrackingAccuracy, by_layer
from fairy.analysis.tracking_figure import accuracy_figure
from fairy.evaluation.charts import draw_lines
from fairy.evaluation.figures import swept_lines
from fairy.evaluation.report import report_paths
from fairy.evaluation.results import Results, read_results

QUALITY, METRICS, REPORT = "docs/quality.md", "docs/metrics.md", "docs/report.html"
SWEEPS, TRACKING = "docs/sheets/anchors_and_steps.png", "docs/sheets/tracking_by_layer.png"
SWEPT_MEASURE = "warp_error"

Document = dict[str, Any]
# Heading -> function that writes a row's cell
Columns = Mapping[str, Callable[[Document], str]]


def number(key: str, digits: int = 1) -> Callable[[Document], str]:
    """Return a function that writes a row's number; a dash if it was not measured."""
    return lambda row: "–" if row.get(key) is None else f"{row[key]:.{digits}f}"


COLUMNS: dict[str, Columns] = {
    "looks": {
        "size, px": number("size", 0),
        "edit": lambda row: row["edit"].replace("_", " "),
        "PSNR, dB": number("psnr_db"),
        "right, %": number("right_percent"),
        "pictures": number("images", 0),
    },
    "local": {
        "size, px": number("size", 0),
        "edit": lambda row: row["edit"].replace("_", " "),
        "change reached": number("reached", 2),
        "inpainting reaches": number("bound", 2),
        "of that, %": number("of_bound_percent", 0),
        "rest moved, %": number("rest_moved_percent"),
        "named only, %": number("named_only_percent"),
        "PSNR, dB": number("psnr_db"),
        "pictures": number("images", 0),
    },
    "autoencoder": {
        "size, px": number("size", 0),
        "of": lambda row: row["of"],
        "PSNR, dB": number("psnr_db"),
        "pictures": number("images", 0),
    },
    "speed": {
        "size, px": number("size", 0),
        "dtype": lambda row: row["dtype"],
        "steps, anchors": lambda row: f"{row['steps']}, {row['anchors']}",
        "seconds a frame": number("s_per_frame", 2),
        "of processor time": number("cpu_s_per_frame", 2),
        "on disk, MB": number("mb_on_disk"),
    },
}


def write_quality(folder: Path, root: Path) -> None:
    """Write the tables of the JSON documents in `folder` into docs/quality.md under `root`.

    Parts that were not measured keep their tables.
    """
    path = root / QUALITY
    page = path.read_text(encoding="utf-8")
    for part, columns in COLUMNS.items():
        measured = folder / f"{part}.json"
        if measured.exists():
            document = json.loads(measured.read_text(encoding="utf-8"))
            page = put_between(page, part, table_of(document, columns))
    path.write_text(page, encoding="utf-8")


def table_of(document: Document, columns: Columns) -> str:
    """Return a table of a document's rows, and a line with commit and machine."""
    rows = [[cell(row) for cell in columns.values()] for row in document["rows"]]
    return f"{markdown_table(list(columns), rows)}\n\n{where(document)}"


def where(origin: Mapping[str, Any]) -> str:
    """Return a line with commit and machine."""
    device = origin.get("device", "cpu")
    machine = origin.get("processor", "unknown") if device == "cpu" else device
    threads = origin.get("threads", "?")
    return f"Commit `{origin.get('commit', 'unknown')}`, {machine}, {threads} threads."


def write_suite(report: Path, root: Path) -> None:
    """Copy a suite's report to the documents, and draw and describe its sweeps and tracking."""
    page, results_path, _ = report_paths(report)
    results = read_results(results_path)
    (root / "docs" / "sheets").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(page, root / REPORT)
    if draw_sweeps(results, root / SWEEPS):
        _put(root / QUALITY, "sweeps", _sweeps_text(results))
    if results.tracking:
        title = "Points found by attention to the anchors, rendered clips"
        accuracy_figure(results.tracking, title).savefig(root / TRACKING, dpi=110)
        _put(root / METRICS, "tracking", tracking_text(results))


@styled()
def draw_sweeps(results: Results, path: Path) -> bool:
    """Draw the warp error against each varied setting; return False if there is none."""
    swept = [swept_lines(name, cases, SWEPT_MEASURE) for name, cases in results.sweeps.items()]
    drawn = [one for one in swept if one is not None]
    if not drawn:
        return False
    figure, panels = new_figure(len(drawn), (4.6, 3.2))
    for axes, (lines, labels) in zip(panels, drawn, strict=True):
        draw_lines(axes, lines, labels)
    figure.savefig(path, dpi=110)
    return True


def _sweeps_text(results: Results) -> str:
    return (
        f"![Warp error by number of anchors and of steps](sheets/{Path(SWEEPS).name})\n\n"
        f"Thin: each clip; bold: their mean. {where(results.origin)}"
    )


def tracking_text(results: Results) -> str:
    """Return the plot, a sentence on each model's best layer, and commit and machine."""
    lines = [f"![Share of points found, by layer](sheets/{Path(TRACKING).name})"]
    for model, accuracy in results.tracking.items():
        lines.append(_best_layer(model, accuracy))
    return "\n\n".join([*lines, where(results.origin)])


def _best_layer(model: str, accuracy: TrackingAccuracy) -> str:
    px = THRESHOLDS_PX[-1]
    names = list(dict.fromkeys(row.layer for row in accuracy.layers))
    found = [found[px] for found, _ in by_layer(accuracy)]
    best = max(range(len(found)), key=found.__getitem__)
    return (
        f"`{model}`: of {accuracy.num_points} points its layer {best + 1} "
        f"(`{short_name(names[best])}`) finds {found[best]:.1%} within {px} px, the most of its "
        f"{len(found)} layers; assuming that nothing moves finds "
        f"{accuracy.standing_still[px]:.1%}, chance about 4.9 %."
    )


def _put(path: Path, mark: str, text: str) -> None:
    page = path.read_text(encoding="utf-8")
    path.write_text(put_between(page, mark, text), encoding="utf-8")
