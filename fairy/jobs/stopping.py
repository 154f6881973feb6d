"""Ctrl-C and SIGTERM: what is in work is finished and kept, then the job ends.

Tests: tests/jobs/test_stopping.py.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fairy.errors import JobInterrupted

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """A context manager that turns SIGINT and SIGTERM into `JobInterrupted`, in the main thread.

    Within `finishing` the first signal waits for the end of that block; a second one does not.
    """

    def __init__(self) -> None:
        self._finishing = False
        self._waiting: int | None = None

    def __enter__(self) -> Stopping:
        """Begin to listen."""
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        """Handle signals as before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Let the block end before a signal takes effect."""
        self._finishing = True
        try:
            yield
        finally:
            self._finishing = False
        if self._waiting is not None:
            raise JobInterrupted(self._waiting)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._finishing and self._waiting is None:
            self._waiting = number
            logger.warning("stopping when the frames in work are done; once more stops at once")
            return
        raise JobInterrupted(number)
