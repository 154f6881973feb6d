"""`fairy eval`: judge one clip of any tool or a suite, or compare two evaluations.

Tests: tests/cli/test_evaluate.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from fairy.cli.console import (
    Overwrite,
    Verbose,
    logged_to,
    needs_extra,
    quiet_libraries,
    say,
    terminal,
)
from fairy.cli.options import LOADED, with_options
from fairy.errors import SettingsError
from fairy.options import Option, Settings, named_files
from fairy.settings import EditConfig

EXIT_REGRESSION = 1
PAIR = "One edited clip"
SUITE = "A suite of clips"


@dataclass(frozen=True, kw_only=True)
class EvalOptions(Settings):
    """What to judge or compare."""

    source: Annotated[
        Path | None, Option(help="The clip it was made from.", group=PAIR, file="read")
    ] = None
    target: Annotated[
        Path | None, Option(help="The exact result, if it is known.", group=PAIR, file="read")
    ] = None
    captions: Annotated[
        tuple[str, str] | None,
        Option(
            help="What the source shows, and what the edit should show.",
            group=PAIR,
            metavar="SOURCE TARGET",
        ),
    ] = None
    pair_by: Annotated[
        str,
        Option(
            help="How to match frames if the files do not determine it.",
            group=PAIR,
            choices=("auto", "number", "time"),
        ),
    ] = "auto"
    fit: Annotated[
        str,
        Option(
            help="How the editor changed a picture's shape.",
            group=PAIR,
            choices=("refuse", "crop", "stretch"),
        ),
    ] = "refuse"
    suite: Annotated[
        str | None,
        Option(
            help="Edit and judge a fixed set of clips.",
            group=SUITE,
            choices=("quick", "open", "full", "ablation"),
        ),
    ] = None
    clips: Annotated[
        Path | None, Option(help="A folder of clips for the suite.", group=SUITE, file="read")
    ] = None
    instructions: Annotated[
        Path | None,
        Option(help="Their instructions: one a line, or a CSV.", group=SUITE, file="read"),
    ] = None
    workers: Annotated[
        int, Option(help="Processes that share the clips, on a CPU.", group=SUITE, min=1)
    ] = 1
    clip_model: Annotated[
        str | None, Option(help="CLIP for Tem-Con and Frame-Acc: a folder or a hub id.")
    ] = None
    compare: Annotated[
        tuple[Path, Path] | None,
        Option(help="Compare two JSON files of fairy eval.", metavar="BEFORE AFTER"),
    ] = None


@with_options(EditConfig, only=(*LOADED, "size"))
@with_options(EvalOptions, "what")
def evaluate(
    config: EditConfig,
    what: EvalOptions,
    edited: Annotated[
        Path | None, typer.Argument(metavar="EDITED", help="An edited clip, by any tool.")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL", help="One more model as a column.", rich_help_panel=SUITE
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="OUT", help="The report, .html; JSON and CSV beside it."
        ),
    ] = None,
    overwrite: Overwrite = False,
    verbose: Verbose = False,
) -> None:
    """Judge an edit: scores, intervals and a report.

    Judges one clip of any tool (EDITED --source SOURCE) or a --suite of clips; --compare compares
    two evaluations. Needs the extra [eval].
    """
    quiet_libraries()
    with needs_extra("an evaluation", "eval"):
        from fairy.cli.scores import show_results
        from fairy.evaluation.report import check_report, report_paths, write_report

    if what.compare is not None:
        raise typer.Exit(_compare(*what.compare))
    _check_asked(edited, what)
    name = f"{edited.stem}-eval" if edited is not None else f"eval-{what.suite or 'quick'}"
    report = out or Path(f"{name}.html")
    with logged_to(terminal(stderr=True), verbose=verbose):
        read = [*filter(None, [edited]), *named_files(EvalOptions, what, "read").values()]
        check_report(report, overwrite=overwrite, read=read)
        results, views = (
            _run_suite(config, what, also or []) if edited is None else _pair(edited, config, what)
        )
        write_report(report, results, views)
    show_results(terminal(), results)
    say(terminal(), f"wrote {', '.join(map(str, report_paths(report)))}")


def _check_asked(edited: Path | None, what: EvalOptions) -> None:
    """Raise SettingsError unless there is exactly one thing to judge."""
    asked_suite = what.suite is not None or what.clips is not None
    if edited is None and not asked_suite:
        raise SettingsError(
            "nothing to judge: give EDITED --source SOURCE, or --suite quick, or --compare A B"
        )
    if edited is not None and asked_suite:
        raise SettingsError("give an edited clip or a suite, not both")


def _pair(edited: Path, config: EditConfig, what: EvalOptions) -> Any:
    from fairy.evaluation.pair import DEFAULT_SIZE
    from fairy.evaluation.run import evaluate_pair, load_encoder

    if what.source is None:
        raise SettingsError(f"{edited}: --source is missing: the clip it was made from")
    return evaluate_pair(
        edited, what.source, what.target, captions=what.captions, pair_by=what.pair_by,
        fit=what.fit, size=config.size or DEFAULT_SIZE,
        encoder=load_encoder(what.clip_model, config.device),
    )  # fmt: skip


def _run_suite(config: EditConfig, what: EvalOptions, also: list[str]) -> Any:
    from fairy.cli.progress import clip_progress
    from fairy.evaluation.run import load_encoder, plan_suite, suite_title
    from fairy.evaluation.suite import SUITES, run_suite

    suite = SUITES[what.suite or "quick"]
    plan = plan_suite(
        suite, config, also=also, clips=what.clips, instructions=what.instructions,
        encoder=load_encoder(what.clip_model, config.device),
    )  # fmt: skip
    title = suite_title(config.model, suite, what.clips)
    with clip_progress(f"{suite.name} suite") as progress:
        return run_suite(plan, title, progress, workers=what.workers)


def _compare(before: Path, after: Path) -> int:
    """Print the comparison; return the exit code."""
    from fairy.cli.scores import show_comparison
    from fairy.evaluation.compare import compare
    from fairy.evaluation.results import read_results

    comparison = compare(read_results(before), read_results(after))
    show_comparison(terminal(), comparison)
    return EXIT_REGRESSION if comparison.regressions else 0
