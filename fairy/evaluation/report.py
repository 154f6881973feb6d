"""The report: one self-contained HTML file, and the same results as JSON and CSV.

The page is `page/report.html` (Jinja) with its style sheet and script inlined.
Tests: tests/evaluation/test_report.py.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fairy.analysis.plots import PALETTE, svg_text
from fairy.analysis.tracking_figure import accuracy_figure
from fairy.errors import MediaError, SettingsError
from fairy.evaluation import tables
from fairy.evaluation.figures import clip_curve, overview_figures, sweep_figures
from fairy.evaluation.measures import MEASURES
from fairy.evaluation.pictures import ClipView
from fairy.evaluation.properties import PROPERTIES
from fairy.evaluation.results import Results
from fairy.media.names import beside, make_folder_of
from fairy.media.write import check_new_file

PAGE = Path(__file__).parent / "page"
SUFFIXES = (".html", ".json", ".csv")
ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}


def check_report(out: Path, *, overwrite: bool, read: Collection[Path] = ()) -> None:
    """Check that a report can be written; call it before any work is done.

    Raises:
        SettingsError: the name does not end in .html.
        MediaError: a file is in the place of the folder.
        OutputExistsError: the page, its JSON or its CSV exists and `overwrite` is False, or is one
            of the files in `read`.
    """
    if out.suffix.lower() != ".html":
        raise SettingsError(f"{out}: a report is an HTML file: use a name that ends in .html")
    for path in report_paths(out):
        check_new_file(path, overwrite=overwrite, read=read)


def report_paths(out: Path) -> list[Path]:
    """Return the report's three files: page, JSON, CSV."""
    return [out.with_suffix(suffix) for suffix in SUFFIXES]


def write_report(out: Path, results: Results, views: Sequence[ClipView]) -> None:
    """Write page, JSON and CSV into the same folder, each atomically."""
    make_folder_of(out)
    contents = (render(results, views), results.to_json(), results.to_csv())
    for path, content in zip(report_paths(out), contents, strict=True):
        partial = beside(path, f".{os.getpid()}.part", hidden=True)
        try:
            partial.write_text(content, encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise MediaError(f"{path}: cannot be written: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)


def render(results: Results, views: Sequence[ClipView]) -> str:
    """Return the page as HTML."""
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
        tracking=_tracking(results),
        clips=[(view, clip_curve(view)) for view in views],
        style=Markup(_style()),
        script=Markup((PAGE / "player.js").read_text(encoding="utf-8")),
    )


def _tracking(results: Results) -> Markup | None:
    if not results.tracking:
        return None
    return Markup(svg_text(accuracy_figure(results.tracking), "points found, by layer"))


def _style() -> str:
    """Return the style sheet, with the palette as classes s0, s1, ..."""
    colours = " ".join(f".s{number} {{ --c: {code}; }}" for number, code in enumerate(PALETTE))
    return f"{colours}\n{(PAGE / 'report.css').read_text(encoding='utf-8')}"
