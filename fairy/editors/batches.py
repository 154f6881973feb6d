"""Choose how many frames to edit at a time: from free memory, and fewer after running out of it.

Tests: tests/editors/test_batches.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor

from fairy.errors import SettingsError

logger = logging.getLogger(__name__)

# More frames at a time are not faster: the device is already busy
MAX_FRAMES = {"cpu": 8, "cuda": 32}
# The rest is left for other programs, fragmentation and the libraries' own buffers
USABLE_FRACTION = {"cpu": 0.5, "cuda": 0.9}


@dataclass(frozen=True, kw_only=True)
class EditMemory:
    """Bytes that an edit holds on the model's device besides the weights.

    Attributes:
        cache: the anchors' keys and values of all steps, on any device.
        held: what stays there during the whole edit. Mostly the part of the cache that is on the
            model's device: all of it, or that of the current and the next step.
        anchors: peak of the anchors' pass, including the cache on the device.
        frame: the most that one frame of a batch needs, in the UNet or in the autoencoder.
    """

    cache: int
    held: int
    anchors: int
    frame: int

    def peak(self, num_frames: int) -> int:
        """Return the peak of an edit with `num_frames` frames at a time."""
        return max(self.anchors, self.held + num_frames * self.frame)

    def most_frames(self, num_bytes: int) -> int:
        """Return how many frames at a time fit; 0 if not even the anchors do."""
        if num_bytes < self.anchors:
            return 0
        return (num_bytes - self.held) // self.frame


def free_bytes(device: torch.device) -> int:
    """Return the free bytes on the device, including those that torch has reserved but not used."""
    if device.type != "cuda":
        return int(psutil.virtual_memory().available)
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + held


def choose_frame_batch_size(device_type: str, num_bytes: int, memory: EditMemory) -> int:
    """Return how many frames at a time to edit, between 1 and the device's maximum.

    Args:
        device_type: "cpu" or "cuda"; others are treated as "cuda".
        num_bytes: bytes free on the device, with the weights already loaded.
        memory: what the edit needs.
    """
    kind = "cpu" if device_type == "cpu" else "cuda"
    fit = memory.most_frames(int(num_bytes * USABLE_FRACTION[kind]))
    return max(1, min(MAX_FRAMES[kind], fit))


class FrameBatches:
    """Runs work on at most `size` frames at a time; out of memory halves `size` permanently.

    Args:
        size: frames at a time at first.

    Attributes:
        size: frames at a time now.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise SettingsError(f"frame_batch_size is {size}: it must be at least 1")
        self.size = size

    def run(self, rows: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
        """Return work(rows) for rows (F,...), computed in batches and concatenated.

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
    """Turn running out of memory into a `SettingsError` with what was tried and what to do."""
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
