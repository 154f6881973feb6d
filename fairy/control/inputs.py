"""The files and folders that the settings of `Control` name.

Tests: tests/control/test_inputs.py.
"""

from __future__ import annotations

from pathlib import Path

from fairy.control.keyframes import named_pictures
from fairy.control.masks import is_words
from fairy.settings import Control


def control_inputs(config: Control) -> dict[str, Path]:
    """Return the files and folders that are read besides the clip, by the setting's name."""
    named = {"keyframes": config.keyframes, "schedule": config.schedule}
    if config.mask is not None and not is_words(config.mask):
        named["mask"] = Path(config.mask)
    files = {name: Path(path) for name, path in named.items() if path is not None}
    files |= {f"ref {number}": path for number, path in enumerate(config.ref, start=1)}
    pictures = named_pictures(config.keyframe)
    return files | {f"keyframe {number}": path for number, path in pictures.items()}
