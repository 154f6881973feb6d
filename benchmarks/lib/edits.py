"""Run one edit with the command line in its own process, to measure its own peak memory.

Tests: tests/benchmarks/lib/test_edits.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def report_of_edit(clip: Path, instruction: str, *options: object) -> dict[str, Any]:
    """Edit a clip, as one shot, into its folder; return the report of `fairy edit --report`.

    Raises:
        subprocess.CalledProcessError: the edit failed and printed the reason.
    """
    report = clip.with_suffix(".json")
    words = ["edit", clip, instruction, "-o", clip.with_name("edited.mp4"), "--overwrite"]
    words += ["--report", report, "--shots", "off", *options]
    subprocess.run([sys.executable, "-m", "fairy", *map(str, words)], check=True)
    document: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return document
