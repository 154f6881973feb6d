"""Collect Fairy's warnings for a report. Imports nothing heavy.

Tests: tests/jobs/test_warnings_log.py.
"""

from __future__ import annotations

import logging


class Notes(logging.Handler):
    """Collects Fairy's warnings inside the `with` block.

    >>> with Notes() as notes:
    ...     logging.getLogger("fairy.media").warning("%d frames lost", 2)
    >>> notes.lines
    ['2 frames lost']
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's message, once: every shot of a clip may give it."""
        if (line := record.getMessage()) not in self.lines:
            self.lines.append(line)

    def __enter__(self) -> Notes:
        """Start collecting."""
        logging.getLogger("fairy").addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        """Stop collecting."""
        logging.getLogger("fairy").removeHandler(self)
