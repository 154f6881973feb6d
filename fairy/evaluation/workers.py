"""Run the work of an evaluation here or in several processes.

A few clips at once use a CPU's cores better than one: small pictures leave most of a thread pool
idle. Results come in the order of the work and do not depend on the number of processes.
Tests: tests/evaluation/test_workers.py.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

# (function of what is shared and an item, items) -> the results
Each = Callable[[Callable[[Any, Any], Any], Iterable[Any]], Iterator[Any]]


@contextmanager
def working(shared: Any, workers: int = 1) -> Iterator[Each]:
    """Yield `each(function, items)`, an iterator over function(shared, item) in order.

    Args:
        shared: what every call needs, such as models; sent to each process once.
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
    """A function of what is shared and an item, as a function of the item alone.

    Attributes:
        shared: in a worker process, what its pool was started with.
    """

    shared: Any = None

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function

    def __call__(self, item: Any) -> Any:
        return self.function(self.shared, item)


def _start(shared: Any, threads: int) -> None:
    _Work.shared = shared
    torch.set_num_threads(threads)
