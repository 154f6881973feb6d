"""The order in which a data set is read: a function of (seed, position) only.

Blocks are shuffled, consecutive blocks form windows, and the examples of a window are shuffled.
Files are still read block by block, but any position of any epoch can be looked up. So a resumed
run continues exactly, and any number of processes share one order.
Tests: tests/training/data/test_shuffle.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fairy.training.run.seeding import generator


class ShuffledOrder:
    """The example at each position, epoch after epoch.

    Args:
        block_sizes: examples in each block, in the order of the data set.
        window: shuffle at least this many examples together, if there are that many.
        held_out: leave out this many examples at the start.
        seed: seed of the shuffling.

    Raises:
        ValueError: no examples are left.
    """

    def __init__(self, block_sizes: Sequence[int], window: int, held_out: int, seed: int) -> None:
        self._sizes = torch.tensor(block_sizes, dtype=torch.int64)
        self._starts = self._sizes.cumsum(0) - self._sizes
        self._window, self._held_out, self._seed = window, held_out, seed
        self._epoch: tuple[int, Tensor] = (-1, torch.empty(0))
        self.num_examples = int(self._sizes.sum()) - held_out
        if self.num_examples < 1:
            raise ValueError(f"{held_out} held out of {held_out + self.num_examples} examples")

    def at(self, position: int) -> tuple[int, int]:
        """Return (block, row) of a position; positions keep counting from epoch to epoch."""
        epoch, within = divmod(position, self.num_examples)
        if self._epoch[0] != epoch:
            self._epoch = (epoch, self._shuffle(epoch))
        return self.place(int(self._epoch[1][within]))

    def place(self, example: int) -> tuple[int, int]:
        """Return (block, row) of an example by its number in the data set."""
        block = int(torch.searchsorted(self._starts, example, right=True)) - 1
        return block, example - int(self._starts[block])

    def _shuffle(self, epoch: int) -> Tensor:
        """Return the numbers of all examples in the order of an epoch."""
        gen = generator(self._seed, epoch, "order")
        blocks = torch.randperm(len(self._sizes), generator=gen).tolist()
        windows: list[Tensor] = []
        waiting: list[Tensor] = []
        for count, block in enumerate(blocks, start=1):
            start = int(self._starts[block])
            examples = torch.arange(start, start + int(self._sizes[block]))
            waiting.append(examples[examples >= self._held_out])
            if sum(map(len, waiting)) >= self._window or count == len(blocks):
                window = torch.cat(waiting)
                windows.append(window[torch.randperm(len(window), generator=gen)])
                waiting = []
        return torch.cat(windows)
