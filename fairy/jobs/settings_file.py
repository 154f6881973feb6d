"""Save settings to a JSON file and read them back, or write them as a command line.

An edit's report has them as well.

Tests: tests/jobs/test_settings_file.py.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairy.errors import SettingsError
from fairy.options import OptionField, Settings, options_of
from fairy.settings import EditConfig
from fairy.system import parse_json


def save_settings(config: EditConfig, path: Path, *, overwrite: bool = False) -> None:
    """Write all settings to `path`, unless the file already has exactly these.

    Raises:
        MediaError: a file is in the place of the folder.
        OutputExistsError: the file has other contents, and `overwrite` is off.
    """
    # PyAV is slow to import, and `fairy --help` imports this file
    from fairy.media.names import make_folder_of
    from fairy.media.write import check_new_file

    text = json.dumps(asdict(config), indent=2, ensure_ascii=False, default=str) + "\n"
    if path.is_file() and path.read_bytes() == text.encode():
        return
    check_new_file(path, overwrite=overwrite)
    make_folder_of(path)
    path.write_text(text, encoding="utf-8")


def read_settings(path: Path, settings: type[Settings] = EditConfig) -> dict[str, Any]:
    """Return the settings in a file by `save_settings`, or in an edit's report.

    Raises:
        SettingsError: the file cannot be read, names a setting that does not exist, or has a value
            that is not allowed.
    """
    try:
        document = parse_json(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: is not JSON: {_FORM}") from error
    if isinstance(document, dict) and isinstance(document.get("settings"), dict):
        document = document["settings"]
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: contains no settings: {_FORM}")
    known = {field.name for field in options_of(settings)}
    if unknown := sorted(document.keys() - known):
        raise SettingsError(
            f"{path}: unknown settings {', '.join(map(repr, unknown))}: use "
            f"{', '.join(sorted(known))}"
        )
    try:
        settings(**document)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error
    return document


def command_line(source: str, instruction: str, out: str, config: EditConfig) -> str:
    """Return the command that does an edit, for a shell; settings at their default are left out."""
    words = ["fairy", "edit", source, instruction, "-o", out]
    for field in options_of(config):
        value = getattr(config, field.name)
        if value != field.default:
            words += _words(field, value)
    return shlex.join(words)


def _words(field: OptionField, value: Any) -> Iterator[str]:
    """Yield an option and its value as they are typed."""
    flag = field.flag
    if isinstance(value, bool):
        yield flag if value else f"--no-{flag[2:]}"
    elif field.option.many:
        for item in value:
            yield from (flag, str(item))
    elif not isinstance(value, tuple):
        yield from (flag, str(value))
    elif len((field.option.metavar or "").split()) > 1:
        yield from (flag, *map(str, value))
    else:
        yield from (flag, ",".join(map(str, value)))


_FORM = "use a file written by --save-settings or --report"
