"""End this process when its job hangs, because hanging code cannot be stopped otherwise.

Another worker then takes the job. Tests: tests/batch/test_watch.py.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from fairy.interrupt import Cancel

logger = logging.getLogger(__name__)

# Exit code of a worker whose job hangs or takes too long
TIMED_OUT = 70
# An edit in which nothing is finished for so long hangs: a batch of frames takes minutes at most,
# and a search for shots or masks, and joining, count as they go through the clip
STUCK_S = 3600.0
LOOK_S = 10.0


def ended_after(name: str, timeout_s: float | None) -> AbstractContextManager[None]:
    """End this process if the block takes longer than `timeout_s`; `name` is for the message."""
    if timeout_s is None:
        return nullcontext()

    def late(over: threading.Event) -> str | None:
        return None if over.wait(timeout_s) else f"not done after {timeout_s:g} s"

    return _watched(name, late)


def ended_if_stuck(name: str, cancel: Cancel) -> AbstractContextManager[None]:
    """End this process if the block does not check `cancel` for `STUCK_S`.

    An edit checks it after each batch of frames, after each frame that it looks at for shots or
    masks, after each packet that it joins, and while it waits for other workers.
    """

    def stuck(over: threading.Event) -> str | None:
        # Counted in looks, so that a process that was stopped for hours may continue
        seen, idle_s = cancel.num_checks, 0.0
        while idle_s < STUCK_S:
            if over.wait(LOOK_S):
                return None
            now = cancel.num_checks
            idle_s = 0.0 if now != seen else idle_s + LOOK_S
            seen = now
        return f"nothing was finished for {STUCK_S:g} s"

    return _watched(name, stuck)


@contextmanager
def _watched(name: str, wait: Callable[[threading.Event], str | None]) -> Iterator[None]:
    """End this process if `wait` returns a reason before the block sets its event."""
    over = threading.Event()

    def watch() -> None:
        if (reason := wait(over)) is not None:
            logger.error("%s: %s: the worker ends", name, reason)
            os._exit(TIMED_OUT)

    threading.Thread(target=watch, daemon=True, name="watch").start()
    try:
        yield
    finally:
        over.set()
