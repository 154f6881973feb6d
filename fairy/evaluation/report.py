"""The report: one HTML file that needs nothing else, and the same results as JSON and CSV.

The page is `page/report.html` (Jinja), with its style sheet and script put inside.
Tests: tests/evaluation/test_report.py.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fairy.errors import MediaError, OutputExistsError, SettingsError
from fairy.evaluation import tables
from fairy.evaluation.figures import clip_curve, overview_figures, sweep_figures
from fairy.evaluation.measures import MEASURES
from fairy.evaluation.pictures import ClipView
from fairy.evaluation.properties import PROPERTIES
from fairy.evaluation.results import Results
from fairy.evaluation.tracking_figures import tracking_charts, tracking_legend

PAGE = Path(__file__).parent / "page"
SUFFIXES = (".html", ".json", ".csv")
ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}


def check_report(out: Path, *, overwrite: bool) -> None:
    """Refuse a report that cannot be written; call it before any work is done.

    Raises:
        SettingsError: its name does not end in .html.
        MediaError: its folder is missing.
        OutputExistsError: it, or its JSON or CSV, is there, and `overwrite` is False.
    """
    if out.suffix.lower() != ".html":
        raise SettingsError(f"{out}: a report is an HTML file: give a name that ends in .html")
    if not out.parent.is_dir():
        raise MediaError(f"{out}: the folder {out.parent} does not exist: make it first")
    there = [path for path in report_paths(out) if path.exists()]
    if there and not overwrite:
        raise OutputExistsError(f"{there[0]}: already there: use --overwrite or another name")


def report_paths(out: Path) -> list[Path]:
    """Return the report's three files: page, JSON, CSV."""
    return [out.with_suffix(suffix) for suffix in SUFFIXES]


def write_report(out: Path, results: Results, views: Sequence[ClipView]) -> None:
    """Write page, JSON and CSV beside each other, each whole or not at all."""
    contents = (render(results, views), results.to_json(), results.to_csv())
    for path, content in zip(report_paths(out), contents, strict=True):
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            partial.write_text(content, encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise MediaError(f"{path}: cannot be written: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)


def render(results: Results, views: Sequence[ClipView]) -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        results=results,
        measures=(*MEASURES, *PROPERTIES) if results.properties else MEASURES,
        tables=tables,
        arrows=ARROWS,
        summary=tables.summary(results),
        models=tables.model_table(results),
        tests=tables.reference_tests(results),
        findings=tables.findings(results),
        figures=[(Markup(f.svg), f.caption) for f in overview_figures(results)],
        sweeps=[(Markup(f.svg), f.caption) for f in sweep_figures(results)],
        tracking=[(Markup(svg), caption) for svg, caption in tracking_charts(results.tracking)],
        tracking_legend=tracking_legend(results.tracking),
        clips=[(view, Markup(clip_curve(view))) for view in views],
        style=Markup((PAGE / "report.css").read_text(encoding="utf-8")),
        script=Markup((PAGE / "player.js").read_text(encoding="utf-8")),
    )
