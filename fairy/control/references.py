"""Reference pictures: what `--ref` names, checked before a model is loaded.

Tests: tests/control/test_references.py.
"""

from __future__ import annotations

import re

from fairy.errors import SettingsError
from fairy.media.read import probe
from fairy.settings import Control


def check_references(config: Control, instructions: list[str]) -> None:
    """Refuse references that are no pictures, and instructions that name one that is not there.

    Raises:
        FairyError: in one line, which one.
    """
    for path in config.ref:
        if not path.exists():
            raise SettingsError(f"ref {path}: no such file")
        if (num_frames := probe(path).num_frames) != 1:
            raise SettingsError(f"ref {path}: has {num_frames} frames; give one picture")
    if not config.ref:
        return
    for text in instructions:
        for number in re.findall(r"\bimage (\d+)\b", text, re.IGNORECASE):
            if not 1 <= int(number) <= len(config.ref):
                raise SettingsError(
                    f"image {number}: there are {len(config.ref)} references, counted from 1: give "
                    "as many --ref as the instruction names"
                )
