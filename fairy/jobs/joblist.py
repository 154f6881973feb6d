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
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from fairy.errors import SettingsError
from fairy.settings import EditConfig, MediaConfig, Shortcuts

NEEDED = ("input", "instruction", "output")
# What the command line calls otherwise than `EditConfig`
OTHER_NAMES = {"steps": "num_inference_steps", "anchors": "anchor_indices"}
_WANTED = {bool: "true or false", int: "a whole number", float: "a number"}
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


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
    given = {
        _field_name(name): value
        for name, value in entries.items()
        if value is not None and value != ""
    }
    if missing := [name for name in NEEDED if name not in given]:
        raise SettingsError(f"no {', '.join(missing)}: every job needs {', '.join(NEEDED)}")
    source, instruction, out = (str(given.pop(name)) for name in NEEDED)
    files = {name: Path(str(given.pop(name))) for name in ("compare", "report") if name in given}
    overwrite = _convert("overwrite", given.pop("overwrite", False), bool)
    return Job(
        line=line,
        source=Path(source),
        instruction=instruction,
        out=Path(out),
        config=_with_options(defaults, given),
        overwrite=overwrite,
        **files,
    )


def _with_options(config: EditConfig, given: Mapping[str, Any]) -> EditConfig:
    """Return `config` with the options by field name put in."""
    media = {field.name for field in fields(MediaConfig)}
    shortcuts = {"quality"} | {field.name for field in fields(Shortcuts)}
    known = {field.name for field in fields(EditConfig)} - {"media", "shortcuts"}
    if unknown := sorted(given.keys() - known - media - shortcuts):
        raise SettingsError(
            f"option {unknown[0]!r} is unknown: use {', '.join(sorted(known | media | shortcuts))}"
        )
    hints = {"quality": str}
    for kind in (EditConfig, MediaConfig, Shortcuts):
        hints |= get_type_hints(kind)
    values = {name: _convert(name, value, hints[name]) for name, value in given.items()}
    of_media, of_shortcuts, of_edit = (
        {name: value for name, value in values.items() if name in names}
        for names in (media, shortcuts, known)
    )
    if of_shortcuts:
        of_edit["shortcuts"] = Shortcuts.of(**of_shortcuts)
    return replace(config, media=replace(config.media, **of_media), **of_edit)


def _field_name(name: str) -> str:
    plain = name.strip().lstrip("-").replace("-", "_")
    return OTHER_NAMES.get(plain, plain)


def _convert(name: str, value: Any, hint: Any) -> Any:
    """Return a text, or JSON's value, as the type that a setting has."""
    if name == "guidance_interval":
        return _fractions(name, value)
    kinds = get_args(hint) or (hint,)
    text = str(value).strip()
    try:
        if bool in kinds:
            return _FLAGS[text.lower()]
        if int in kinds:
            return int(text)
        if float in kinds:
            return float(text)
    except (KeyError, ValueError) as error:
        wanted = next(text for kind, text in _WANTED.items() if kind in kinds)
        raise SettingsError(f"{name} is {text!r}: give {wanted}") from error
    return _frame_numbers(name, value) if name == "anchor_indices" else text


def _frame_numbers(name: str, value: Any) -> tuple[int, ...]:
    parts = value if isinstance(value, list) else str(value).split(",")
    try:
        return tuple(int(part) for part in parts)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{name} is {value!r}: give frame numbers, as in 0,40,80") from error


def _fractions(name: str, value: Any) -> tuple[float, float]:
    parts = value if isinstance(value, list) else str(value).split()
    try:
        first, end = (float(part) for part in parts)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{name} is {value!r}: give two fractions, as in 0 0.6") from error
    return first, end


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
