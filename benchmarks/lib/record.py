"""Record where a benchmark ran, and print and keep its results.

It prints a table, and one JSON document as the last line. If a file is given, each row is appended
to it as a JSON line as soon as it is measured. Tests: tests/benchmarks/lib/test_record.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from fairy import system

ROOT = Path(__file__).resolve().parents[2]
ASKED_OF_CARD = "name,driver_version,clocks.sm,clocks.max.sm,power.draw,power.limit,temperature.gpu"
# Without a terminal, rich would wrap long rows at 80 columns
PLAIN_WIDTH = 200


def machine() -> dict[str, Any]:
    """Return versions, commit, processor, device and load, for the results' JSON."""
    nvidia = torch.cuda.is_available() and shutil.which("nvidia-smi")
    return {
        "commit": "unknown",
        **system.machine(),
        "card": card() if nvidia else None,
        # Average of the last minute; above the number of processors, other programs were running
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        **system.versions(),
    }


def card() -> dict[str, str]:
    """Return the first card's current clocks and power, from nvidia-smi."""
    command = ["nvidia-smi", f"--query-gpu={ASKED_OF_CARD}", "--format=csv,noheader", "--id=0"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(zip(ASKED_OF_CARD.split(","), map(str.strip, out.split(",")), strict=True))


def keep(out: Path | None, benchmark: str, row: dict[str, Any]) -> None:
    """Append a row and its machine to a file of JSON lines, if one is given."""
    if out is None:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"benchmark": benchmark, **machine(), **row}) + "\n")


def show(
    title: str,
    rows: Sequence[dict[str, Any]],
    *,
    columns: Sequence[str] | None = None,
    out: Path | None = None,
    **settings: Any,
) -> None:
    """Print the rows as a table, then everything as one JSON document on the last line.

    Args:
        title: title of the table.
        rows: all with the same keys.
        columns: columns of the table, in order; all when None.
        out: a file to write the document to as well.
        **settings: values that all rows share, for the document.
    """
    document = json.dumps({"title": title, **machine(), **settings, "rows": list(rows)})
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(f"{document}\n", encoding="utf-8")
    table = Table(title=title)
    for name in columns or rows[0]:
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(_word(row[name]) for name in columns or row))
    console = Console()
    (console if console.is_terminal else Console(width=PLAIN_WIDTH)).print(table)
    print(document)


def _word(value: Any) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
