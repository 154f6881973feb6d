"""A list of edits in a file: CSV with a header, or one JSON object per line.

Every line has `input`, `instruction` and `output`, and any field of `EditConfig` and `RunOptions`
by its name in Python or on the command line. Paths are as on the command line; a clip may also be
at an address (`fairy.batch.addresses`).
Tests: tests/batch/test_joblist.py.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairy.batch.addresses import is_address, without_file_scheme
from fairy.errors import SettingsError
from fairy.jobs.plan import EditRequest
from fairy.options import options_of
from fairy.settings import EditConfig, RunOptions
from fairy.system import parse_json

NEEDED = ("input", "instruction", "output")
# Spreadsheets in languages with a decimal comma write semicolons
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One edit of a list.

    Attributes:
        line: number in the file, from 1.
        source: the clip.
        source_name: the same as it was given: a path, or an address.
        instruction: what to change.
        out: the result.
        out_name: the same as it was given: a path, or an address.
        config: settings.
        run: other files to write, and whether to replace outputs.
    """

    line: int
    source: Path
    source_name: str
    instruction: str
    out: Path
    out_name: str
    config: EditConfig
    run: RunOptions

    @property
    def request(self) -> EditRequest:
        """The edit that the line asks for."""
        return EditRequest(
            source=self.source,
            instruction=self.instruction,
            out=self.out,
            config=self.config,
            source_name=self.source_name,
            out_name=self.out_name,
            **vars(self.run),
        )


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return (line number, entries) of every job in the file.

    Raises:
        SettingsError: the file cannot be read, or is neither CSV with these columns nor JSON lines.
    """
    try:
        text = _decoded(path.read_bytes())
        lines = list(_json_lines(text) if path.suffix.lower() == ".jsonl" else _csv_lines(text))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise SettingsError(f"{path}: {error}: {_FORM}") from error
    if not lines:
        raise SettingsError(f"{path}: contains no jobs: {_FORM}")
    return lines


def _decoded(content: bytes) -> str:
    """Return text in UTF-8, or in UTF-16 as spreadsheets write it, without its mark."""
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if marked else "utf-8-sig")


_FORM = (
    "give a .csv with the columns input, instruction, output and any option, or a .jsonl with such "
    "objects"
)


def make_job(
    line: int, entries: Mapping[str, Any], defaults: EditConfig, into: str | None = None
) -> Job:
    """Return the job of one line; options left out or blank come from `defaults`.

    A relative output is below `into`, a folder or an address, if that is given.

    Raises:
        SettingsError: an entry is missing, unknown or has a value that is not allowed.
    """
    options = {
        field_name(name, defaults): value
        for name, value in entries.items()
        if value is not None and str(value).strip()
    }
    if missing := [name for name in NEEDED if name not in options]:
        raise SettingsError(f"no {', '.join(missing)}: every job needs {', '.join(NEEDED)}")
    if lists := [name for name in NEEDED if isinstance(options[name], (list, dict))]:
        raise SettingsError(f"{lists[0]} is {options[lists[0]]}: give a text")
    source, instruction, out = (str(options.pop(name)) for name in NEEDED)
    source, out = without_file_scheme(source), without_file_scheme(out)
    if into is not None and not Path(out).is_absolute() and not is_address(out):
        out = f"{into.rstrip('/')}/{out}"
    of_run = {field.name for field in options_of(RunOptions)}
    fields = [*options_of(RunOptions), *options_of(defaults)]
    known = {field.name for field in fields}
    files = {field.name for field in fields if field.option.file}
    if unknown := sorted(options.keys() - known):
        raise SettingsError(f"option {unknown[0]!r} is unknown: use {', '.join(sorted(known))}")
    for name, value in options.items():
        if name in files and is_address(value):
            raise SettingsError(f"{name} {value}: only input and output may be at an address")
    run = {name: options.pop(name) for name in of_run & options.keys()}
    return Job(
        line=line,
        source=Path(source),
        source_name=source,
        instruction=instruction,
        out=Path(out),
        out_name=out,
        config=replace(defaults, **options),
        run=RunOptions(**run),
    )


def field_name(column: str, settings: EditConfig) -> str:
    """Return the field for a column name, which is as in Python or on the command line.

    >>> field_name(" --Num-Anchors", EditConfig()), field_name("steps", EditConfig())
    ('num_anchors', 'num_inference_steps')
    """
    plain = column.strip().lstrip("-").replace("-", "_").lower()
    flags = {field.option.flag: field.name for field in options_of(settings) if field.option.flag}
    return flags.get(plain, plain)


def _csv_lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines of a table; its first line has the column names and shows the delimiter."""
    head = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    if missing := [name for name in NEEDED if name not in names]:
        raise ValueError(f"no column {', '.join(missing)}")
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"column {twice[0]} occurs twice")
    for entries in reader:
        if None in entries:
            raise ValueError(f"line {reader.line_num} has more fields than there are columns")
        # Spreadsheets end a list with lines that contain only commas
        if any(entries.values()):
            yield reader.line_num, entries


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            entries = parse_json(line)
            if not isinstance(entries, dict):
                raise ValueError(f"line {number} is not a JSON object")
            yield number, entries
