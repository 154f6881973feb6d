"""Save settings to a JSON file and read them back; an edit's report has them as well.

Tests: tests/jobs/test_settings_file.py.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairy.errors import SettingsError
from fairy.options import Settings, options_of
from fairy.settings import EditConfig


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
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
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


_FORM = "use a file written by --save-settings or --report"
