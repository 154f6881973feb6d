"""How many frames at a time: from free memory, and fewer after running out of it.

Tests: tests/editors/test_batches.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import torch
from torch import Tensor

from fairy.errors import SettingsError

if TYPE_CHECKING:
    from fairy.editors.ip2p.memory import EditMemory

logger = logging.getLogger(__name__)

# More frames at a time gain nothing: the device is busy
MAX_FRAMES = {"cpu": 8, "cuda": 32}
# The rest is for other programs, fragmentation and what libraries take for themselves
USABLE_FRACTION = {"cpu": 0.5, "cuda": 0.9}


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on the device."""
    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + held


def choose_frame_batch_size(device_type: str, num_bytes: int, memory: EditMemory) -> int:
    """Return how many frames at a time to edit, between 1 and the device's most.

    Args:
        device_type: "cpu" or "cuda"; others are taken as "cuda".
        num_bytes: free on the device, the weights being there already.
        memory: what the edit takes.
    """
    kind = "cpu" if device_type == "cpu" else "cuda"
    fit = memory.most_frames(int(num_bytes * USABLE_FRACTION[kind]))
    return max(1, min(MAX_FRAMES[kind], fit))


class FrameBatches:
    """Runs work on at most `size` frames at a time; out of memory halves `size` for good.

    Args:
        size: frames at a time to begin with.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise SettingsError(f"frame_batch_size is {size}: it must be at least 1")
        self.size = size

    def run(self, rows: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
        """Return work(rows) for rows (F,...), done in batches and put together again.

        Raises:
            SettingsError: out of memory even with one frame at a time.
        """
        done: list[Tensor] = []
        start = 0
        while start < rows.shape[0]:
            batch = rows[start : start + self.size]
            try:
                done.append(work(batch))
                start += batch.shape[0]
                continue
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                self._halve(min(self.size, batch.shape[0]), error)
            # Outside the handler: the traceback keeps the failed batch's tensors alive
            if rows.device.type == "cuda" or torch.cuda.is_available():
                torch.cuda.empty_cache()
        return torch.cat(done)

    def _halve(self, num_frames: int, error: BaseException) -> None:
        if num_frames == 1:
            raise SettingsError(
                "out of memory with one frame at a time: use a smaller size, or "
                "anchor_cache_device cpu"
            ) from error
        self.size = num_frames // 2
        logger.warning("out of memory with %d frames at a time: trying %d", num_frames, self.size)


@contextmanager
def one_line_when_out_of_memory(attempt: str, advice: str) -> Iterator[None]:
    """Turn running out of memory into a `SettingsError`: what was tried, and what to do."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        raise SettingsError(f"out of memory with {attempt}: {advice}") from error


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error) or "out of memory" in str(error)
