"""Progress and cancellation of long jobs.

    cancel = Cancel()
    with cancel.on_signals():           # or `cancel.set()` from any thread
        while work_is_left:
            with cancel.held():         # work in progress is finished and kept
                do_some_work()
            cancel.check()              # raises JobInterrupted

Tests: tests/test_interrupt.py.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from fairy.errors import JobInterrupted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)

Progress = Callable[[int, int], None]
"""Called with (units done, total units); an edit's unit is a frame."""

Stage = Literal["reading", "loading the model", "anchors", "compiling", "frames", "joining"]
"""What an edit is doing; anchors and frames take turns where a clip has several shots."""


@runtime_checkable
class StagedProgress(Protocol):
    """A `Progress` that is also told the stage of an edit."""

    def __call__(self, done: int, total: int, /) -> None:
        """Take note that `done` of `total` frames are done."""

    def stage(self, name: Stage, /) -> None:
        """Take note that the edit is at another stage."""


def report_stage(progress: Progress | None, name: Stage) -> None:
    """Report the stage of an edit, if `progress` wants to know."""
    if isinstance(progress, StagedProgress):
        progress.stage(name)


@runtime_checkable
class PicturedProgress(Protocol):
    """A `Progress` that is also shown the edited frames, for previews."""

    def __call__(self, done: int, total: int, /) -> None:
        """Take note that `done` of `total` frames are done."""

    def picture(self, index: int, image: NDArray[np.uint8], /) -> None:
        """Take note of frame `index`, uint8 (H,W,3) at the model's size."""


def report_picture(progress: Progress | None, index: int, image: NDArray[np.uint8]) -> None:
    """Show an edited frame, if `progress` wants to see it."""
    if isinstance(progress, PicturedProgress):
        progress.picture(index, image)


class Cancel:
    """A request to stop a job, which the job notices where it calls `check`.

    Attributes:
        signal_number: 2 for Ctrl-C or `set()`, 15 for SIGTERM; None if there is no request.
        num_checks: how often the job called `check`. While it grows, the job is not stuck.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.num_checks = 0
        self._held = False

    def set(self, signal_number: int = signal.SIGINT) -> None:
        """Ask the job to stop at its next `check`; any thread may call this."""
        self.signal_number = int(signal_number)

    @property
    def is_set(self) -> bool:
        """Whether the job was asked to stop."""
        return self.signal_number is not None

    def check(self) -> None:
        """Raise `JobInterrupted` if the job was asked to stop."""
        self.num_checks += 1
        if self.signal_number is not None:
            raise JobInterrupted(self.signal_number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Finish the block when a signal comes; a second signal stops it at once."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before

    @contextmanager
    def on_signals(self) -> Iterator[Cancel]:
        """Stop on SIGINT and SIGTERM: inside `held` at the next `check`, elsewhere at once.

        Only Python's main thread can set handlers; in other threads this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first = not self.is_set
        self.set(number)
        if not self._held or not first:
            raise JobInterrupted(number)
        logger.warning("stopping after the work in progress; interrupt again to stop at once")
