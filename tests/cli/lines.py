"""What `fairy edit` prints where there is no terminal."""

from __future__ import annotations

import re

# Printed after ten seconds: "fairy: clip.mp4: make it snow: frames, 3 of 5, 2.1 frames/s"
PROGRESS = re.compile(
    r"^fairy: .*: (starting|reading|loading the model|anchors|frames|joining).*\n", re.M
)


def without_progress(printed: str) -> str:
    """Return the lines that are not about progress."""
    return PROGRESS.sub("", printed)
