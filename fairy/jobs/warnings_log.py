"""Collect Fairy's warnings for a report. Imports nothing heavy.

Tests: tests/jobs/test_warnings_log.py.
"""

from __future__ import annotations

import logging
import threading


class Notes(logging.Handler):
    """Collects Fairy's warnings inside the `with` block.

    Args:
        own_thread: only those of this thread, where other jobs run in other threads.

    >>> with Notes() as notes:
    ...     logging.getLogger("fairy.media").warning("%d frames lost", 2)
    >>> notes.lines
    ['2 frames lost']
    """

    def __init__(self, *, own_thread: bool = False) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident() if own_thread else None
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's message, once: every shot of a clip may give it."""
        if self._thread not in (None, record.thread):
            return
        if (line := record.getMessage()) not in self.lines:
            self.lines.append(line)

    def __enter__(self) -> Notes:
        """Start collecting."""
        logging.getLogger("fairy").addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        """Stop collecting."""
        logging.getLogger("fairy").removeHandler(self)
