"""Run the work of an evaluation in this process or in several.

Several clips at once use a CPU's cores better than one, because small pictures leave most threads
idle. Results come in order and do not depend on the number of processes.
Tests: tests/evaluation/test_workers.py.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

# (function of the shared object and an item, items) -> the results
Each = Callable[[Callable[[Any, Any], Any], Iterable[Any]], Iterator[Any]]


@contextmanager
def working(shared: Any, workers: int = 1) -> Iterator[Each]:
    """Yield `each(function, items)`, an iterator over function(shared, item) in order.

    Args:
        shared: the object that every call needs, such as models; sent to each process once.
        workers: processes that share the items; 1 works in this process. With more, `function`
            and items must be picklable, and the cores are divided among the processes.
    """
    if workers == 1:
        yield lambda function, items: (function(shared, item) for item in items)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _start, (shared, threads)) as pool:
        yield lambda function, items: pool.imap(_Work(function), items)


class _Work:
    """A function of the shared object and an item, as a function of the item alone.

    Attributes:
        shared: in a worker process, the object that its pool was started with.
    """

    shared: Any = None

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function

    def __call__(self, item: Any) -> Any:
        return self.function(self.shared, item)


def _start(shared: Any, threads: int) -> None:
    _Work.shared = shared
    torch.set_num_threads(threads)
