"""What an edit has reported so far: its stage, frames, speed and time left.

Tests: tests/jobs/test_pace.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from fairy.interrupt import Stage

WORDS: dict[Stage, str] = {"compiling": "compiling, about a minute"}


class EditProgress:
    """What an edit has reported: a `StagedProgress`, and its pace.

    The pace counts from the first "frames" stage, so that neither the first anchors nor compiling
    are in it, and changes only when a frame is done, so that the time left counts down evenly.

    Args:
        clock: seconds.

    Attributes:
        on_count: called with each report of frames.
        words: the stage, in words.
        done: frames done; None before the first report.
        total: frames of the clip.
        frames_per_second: since frames are edited; None before the second batch is done.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.on_count: Callable[[int, int], None] = lambda done, total: None
        self.words = "starting"
        self.done: int | None = None
        self.total: int | None = None
        self.frames_per_second: float | None = None
        self._began: tuple[float, int] | None = None
        self._last_s = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Take note that `done` of `total` frames are done."""
        now_s, self.total = self._clock(), total
        if self._began is not None and done > self._began[1]:
            elapsed_s = max(now_s - self._began[0], 1e-9)
            self.frames_per_second = (done - self._began[1]) / elapsed_s
        self.done, self._last_s = done, now_s
        self.on_count(done, total)

    def stage(self, name: Stage) -> None:
        """Take note that the edit is at another stage."""
        self.words = WORDS.get(name, name)
        if name == "frames" and self._began is None:
            self._began = (self._clock(), self.done or 0)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the last frame is done, at the pace so far."""
        if self.frames_per_second is None or self.done is None or self.total is None:
            return None
        of_work = (self.total - self.done) / self.frames_per_second
        return max(0.0, of_work - (self._clock() - self._last_s))

    @property
    def counts(self) -> str:
        """Frames, speed and time left in words, as far as they are known."""
        if self.done is None:
            return ""
        words = [f"{self.done} of {self.total}"]
        if self.frames_per_second is not None:
            words.append(f"{self.frames_per_second:.2f} frames/s")
        if (left := self.seconds_left) is not None and self.done != self.total:
            words.append(f"{timedelta(seconds=round(left))} left")
        return ", ".join(words)

    @property
    def line(self) -> str:
        """Everything in one line."""
        return ", ".join(filter(None, (self.words, self.counts)))
