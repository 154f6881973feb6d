"""Show results of run_all.py as Markdown tables, between marks in docs/measured.md, and as a plot.

    python benchmarks/report.py benchmarks/results/cpu/rows.jsonl                  print the tables
    python benchmarks/report.py benchmarks/results/*/rows.jsonl --write     into docs/measured.md
    python benchmarks/report.py benchmarks/results/cpu/rows.jsonl --plot speed.png

A file has the rows of one run of one plan: one machine, one commit.
Tests: tests/benchmarks/test_report.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.lib.pages import markdown_table, put_between
from benchmarks.lib.plots import by_batch, draw_speed
from benchmarks.lib.record import ROOT

MARK = "speed"
NOT_MEASURED = "not measured"
STAGES = {
    "vae_encode_s": "VAE encode", "anchors_s": "anchors", "frames_s": "frames",
    "vae_decode_s": "VAE decode", "idle_s": "idle", "decode_s": "decode*", "encode_s": "encode*",
}  # fmt: skip

Row = dict[str, Any]


def main(words: list[str] | None = None) -> None:
    """Print the tables of each file; write and plot them if requested."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+", help="files of JSON lines")
    parser.add_argument("--write", action="store_true", help="into docs/measured.md")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "measured.md")
    parser.add_argument("--plot", type=Path, help="a PNG, of the first file")
    args = parser.parse_args(words)
    text = "\n".join(tables(read_rows(path)) + picture(path) for path in args.results)
    print(text)
    if args.write:
        page = args.page.read_text(encoding="utf-8")
        args.page.write_text(put_between(page, MARK, text), encoding="utf-8")
    if args.plot is not None:
        draw_speed(read_rows(args.results[0]), args.plot)
        print(f"plot: {args.plot}")


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def picture(results: Path) -> str:
    """Return a line with the plot in the folder of the results, if there is one."""
    plot = results.resolve().with_name("speed.png")
    if not (plot.exists() and plot.is_relative_to(ROOT)):
        return ""
    return (
        f"\n![Time by stage, memory against length, speed against F](../{plot.relative_to(ROOT)})\n"
    )


def tables(rows: Sequence[Row]) -> str:
    """Return all tables of one run, each with a sentence above it."""
    parts = [where(rows[-1])]
    for benchmark, table in (("edit", edits), ("baselines", baselines), ("memory", memory)):
        chosen = [row for row in rows if row["benchmark"] == benchmark]
        if chosen:
            parts.append(table(chosen))
    return "\n\n".join(parts) + "\n"


def where(row: Row) -> str:
    """Return a line with the machine and the commit."""
    device = row["processor"] if row["device"] == "cpu" else row["device"]
    if row["card"] is not None:
        device += f" (driver {row['card']['driver_version']}, {row['card']['clocks.sm']})"
    load = "" if row["load"] is None else f", load {row['load']}"
    return (
        f"{device}, {row['threads']} thread{'s' * (row['threads'] != 1)}{load}; torch "
        f"{row['torch']}, diffusers {row['diffusers']}; commit `{row['commit']}`."
    )


def edits(rows: Sequence[Row]) -> str:
    """Return the table of whole edits by stage, without the batch sizes in the plot."""
    sweep = by_batch(rows)
    rows = [row for row in rows if row not in sweep]
    columns: dict[str, Callable[[Row], str]] = {
        "model, size, frames": lambda row: f"{row['model']}, {row['size']}, {row['num_frames']}",
        "mode": lambda row: row["mode"],
        "steps, F": lambda row: f"{row['steps']}, {row['F']}",
        "run": lambda row: row["run"],
        "total, s": lambda row: number(row["total_s"]),
        **{name: by_key(key) for key, name in STAGES.items()},
        "frames/s": by_key("fps"),
        "% of bound": by_key("%_of_bound"),
        "peak, MB": lambda row: f"{row['peak_mb']:.0f}",
    }
    return (
        "**A whole edit, file to file**, seconds by stage (\\* in parallel to the model, not part "
        "of the total; idle: the model waits).\n\n" + markdown(columns, rows)
    )


def baselines(rows: Sequence[Row]) -> str:
    """Return the table of ways to edit one clip."""
    first = rows[0]
    columns: dict[str, Callable[[Row], str]] = {
        "way": lambda row: row["way"] + (f" ({row['note']})" if row["note"] else ""),
        "image guidance, branches": lambda row: f"{row['image_guidance']:g}, {row['branches_G']}",
        "F": lambda row: str(row["F"]),
        "s": by_key("median_s"),
        "× frame by frame": lambda row: f"{row['times_plain']:.2f}",
        "by processor time": lambda row: f"{row['cpu_times_plain']:.2f}",
        "warp error × 1000": by_key("warp_error_1000"),
        "change": by_key("change"),
        "sharpness": by_key("sharpness"),
    }
    return (
        f"**The same clip, weights and steps** ({first['model']}, {first['size']}, "
        f"{first['num_frames']} frames), in turns in one run.\n\n" + markdown(columns, rows)
    )


def memory(rows: Sequence[Row]) -> str:
    """Return the table of peak memory by length."""
    columns: dict[str, Callable[[Row], str]] = {
        "frames": lambda row: str(row["num_frames"]),
        "peak, MB": lambda row: f"{row['peak_mb']:.1f}",
        "of the shortest clip's": lambda row: f"{row['peak_mb'] / rows[0]['peak_mb']:.3f}",
    }
    return "**Memory by length**, each edit in its own process.\n\n" + markdown(columns, rows)


def markdown(columns: dict[str, Callable[[Row], str]], rows: Sequence[Row]) -> str:
    """Return a Markdown table, its columns by heading."""
    return markdown_table(list(columns), [[word(row) for word in columns.values()] for row in rows])


def by_key(key: str) -> Callable[[Row], str]:
    """Return a function that writes a row's number under `key`."""
    return lambda row: number(row[key])


def number(value: float | None) -> str:
    """Return a number with three digits; None is "not measured".

    >>> number(12345.6), number(0.01234), number(None)
    ('12346', '0.0123', 'not measured')
    """
    if value is None:
        return NOT_MEASURED
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
