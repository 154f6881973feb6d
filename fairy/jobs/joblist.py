"""A list of edits in a file: CSV with a header, or one JSON object per line.

Every line has `input`, `instruction` and `output`, and any option of `fairy edit`, by its name on
the command line or in `EditConfig`. Paths are as on the command line.
Tests: tests/jobs/test_joblist.py.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairy.errors import SettingsError
from fairy.options import Option, checked, options_of
from fairy.settings import EditConfig

NEEDED = ("input", "instruction", "output")
OVERWRITE = Option(help="Replace outputs that exist.")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One edit of a list.

    Attributes:
        line: number in the file, from 1.
        source: the clip.
        instruction: what to change.
        out: the result.
        config: settings.
        compare: where source and result go side by side, if anywhere.
        report: where the report goes, if anywhere.
        overwrite: replace what exists.
    """

    line: int
    source: Path
    instruction: str
    out: Path
    config: EditConfig
    compare: Path | None = None
    report: Path | None = None
    overwrite: bool = False


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return (line number, entries) of every job in the file.

    Raises:
        SettingsError: the file cannot be read, or is neither CSV with the columns nor JSON lines.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = list(_json_lines(text) if path.suffix.lower() == ".jsonl" else _csv_lines(text))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise SettingsError(f"{path}: {error}: {_FORM}") from error
    if not lines:
        raise SettingsError(f"{path}: no jobs in it: {_FORM}")
    return lines


_FORM = (
    "give a .csv with the columns input, instruction, output and any option, or a .jsonl with such "
    "objects"
)


def make_job(line: int, entries: Mapping[str, Any], defaults: EditConfig) -> Job:
    """Return the job of one line; an option that is left out or empty is that of `defaults`.

    Raises:
        SettingsError: something is missing, unknown or cannot be read.
    """
    options = {
        _field_name(name, defaults): value
        for name, value in entries.items()
        if value is not None and value != ""
    }
    if missing := [name for name in NEEDED if name not in options]:
        raise SettingsError(f"no {', '.join(missing)}: every job needs {', '.join(NEEDED)}")
    source, instruction, out = (str(options.pop(name)) for name in NEEDED)
    files = {
        name: Path(str(options.pop(name))) for name in ("compare", "report") if name in options
    }
    overwrite = checked("overwrite", options.pop("overwrite", False), bool, OVERWRITE)
    return Job(
        line=line,
        source=Path(source),
        instruction=instruction,
        out=Path(out),
        config=_with_options(defaults, options),
        overwrite=overwrite,
        **files,
    )


def _with_options(config: EditConfig, options: Mapping[str, Any]) -> EditConfig:
    """Return `config` with the options by field name put in; it converts and checks them."""
    known = {field.name for field in options_of(config)}
    if unknown := sorted(options.keys() - known):
        raise SettingsError(f"option {unknown[0]!r} is unknown: use {', '.join(sorted(known))}")
    return replace(config, **options)


def _field_name(name: str, settings: EditConfig) -> str:
    """Return the field that a column means, by its name there or on the command line."""
    plain = name.strip().lstrip("-").replace("-", "_")
    flags = {field.option.flag: field.name for field in options_of(settings) if field.option.flag}
    return flags.get(plain, plain)


def _csv_lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names = reader.fieldnames or ()
    if missing := [name for name in NEEDED if name not in names]:
        raise ValueError(f"no column {', '.join(missing)}")
    for entries in reader:
        if None in entries:
            raise ValueError(f"line {reader.line_num} has more fields than there are columns")
        # Spreadsheets end a list with lines of nothing but commas
        if any(entries.values()):
            yield reader.line_num, entries


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            entries = json.loads(line)
            if not isinstance(entries, dict):
                raise ValueError(f"line {number} is no JSON object")
            yield number, entries
