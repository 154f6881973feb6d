"""Fairy: edit videos by an instruction, with anchor-based cross-frame attention (arXiv 2312.13834).

Importing this package does no work: torch and diffusers are loaded when one of the names below is
first used.
Tests: tests/test_packaging.py.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairy.editors.ip2p.pipeline import FairyPipeline
    from fairy.errors import FairyError
    from fairy.jobs.edit import edit_video
    from fairy.media.read import probe, read_video
    from fairy.media.write import write_video
    from fairy.settings import EditConfig, Shortcuts

__version__ = "0.1.0.dev0"

__all__ = [
    "EditConfig", "FairyError", "FairyPipeline", "Shortcuts", "__version__", "edit_video", "probe",
    "read_video", "write_video",
]  # fmt: skip

_HOME = {
    "EditConfig": "fairy.settings",
    "FairyError": "fairy.errors",
    "FairyPipeline": "fairy.editors.ip2p.pipeline",
    "Shortcuts": "fairy.settings",
    "edit_video": "fairy.jobs.edit",
    "probe": "fairy.media.read",
    "read_video": "fairy.media.read",
    "write_video": "fairy.media.write",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'fairy' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, including those not yet imported."""
    return sorted(__all__)
