"""Let several edits share a model: they take turns, one batch each.

An edit changes the model while it computes: attention processors, LoRA scales, offloading hooks.
Taking turns costs nothing on one device, because batches would compete for the same units.
Tests: tests/editors/ip2p/test_session.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_guard = threading.Lock()


@contextmanager
def turn(model: nn.Module) -> Iterator[None]:
    """Wait until no other thread computes with `model`, then use it alone inside the block."""
    with _guard:
        lock = _locks.setdefault(model, threading.RLock())
    with lock:
        yield
