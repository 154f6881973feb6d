"""The output of `fairy eval`: scores, a comparison, and a progress bar.

Tests: tests/cli/test_evaluate.py.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from fairy.cli.console import say
from fairy.evaluation import tables
from fairy.evaluation.compare import Comparison
from fairy.evaluation.results import Results


def show_results(console: Console, results: Results) -> None:
    """Print the scores as a table, then the findings and notes."""
    table = Table(title=results.title, title_justify="left")
    table.add_column("")
    for method in results.methods:
        table.add_column(method, justify="right")
    for row, cells in tables.summary(results):
        arrow = {"lower": "↓", "higher": "↑", "neither": " "}[row.better]
        label = f"{row.label} {arrow} {row.unit}".rstrip()
        table.add_row(label, *(f"{cell.text}\n{cell.interval}".strip() for cell in cells))
    console.print(table)
    for text in [*tables.findings(results), *results.notes]:
        say(console, text)
    for reason, labels in results.missing.items():
        say(console, f"not measured: {', '.join(labels)}: {reason}")


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print the significant changes and the notes."""
    table = Table(title="after, compared with before")
    for name in ("method", "measure", "change", "95 % interval", "relative", "p", ""):
        table.add_column(name, justify="left" if name in ("method", "measure", "") else "right")
    moved = [*comparison.regressions, *comparison.improvements]
    for change, share in zip(comparison.changes, comparison.relative, strict=True):
        verdict = change.verdict if change in moved else ""
        table.add_row(
            change.method, f"{change.measure.label} {change.measure.unit}".strip(),
            change.difference,
            tables.show_interval(change.measure, change.test.difference, "+"),
            f"{share:+.1%}", f"{change.p:.2g}", verdict,
        )  # fmt: skip
    console.print(table)
    for note in comparison.notes:
        say(console, note)
    worse, better = len(comparison.regressions), len(comparison.improvements)
    say(console, f"{better} better, {worse} worse, {len(comparison.changes)} compared")
