"""The precision in which this machine's CPU computes fastest, by a check that is made once.

CPUs with AMX or AVX512-BF16 compute faster in bfloat16 than in float32, others slower.
The check multiplies and convolves as a UNet does, takes a fraction of a second, and is remembered
for this processor, number of threads and torch in the user's cache. FAIRY_CPU_DTYPE=float32 or
bfloat16 decides instead. Tests: tests/models/test_cpu_precision.py.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from fairy.system import has_fast_bf16, processor

logger = logging.getLogger(__name__)

VARIABLE = "FAIRY_CPU_DTYPE"
# Less is not worth the rounding
LEAST_SPEED_UP = 1.3
NUM_RUNS = 5


@lru_cache(maxsize=1)
def fast_cpu_dtype() -> torch.dtype:
    """Return bfloat16 where the CPU has it in hardware and it is clearly faster, else float32."""
    chosen = os.environ.get(VARIABLE)
    if chosen in ("float32", "bfloat16"):
        return torch.bfloat16 if chosen == "bfloat16" else torch.float32
    if not has_fast_bf16():
        return torch.float32
    key = f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    speed_up = _remembered(key)
    if speed_up is None:
        speed_up = measure_speed_up()
        _remember(key, speed_up)
    logger.info("bfloat16 is %.1f times as fast as float32 on this CPU", speed_up)
    return torch.bfloat16 if speed_up >= LEAST_SPEED_UP else torch.float32


def measure_speed_up() -> float:
    """Return how many times as fast a convolution and a product are in bfloat16."""
    seconds = [_seconds(dtype) for dtype in (torch.float32, torch.bfloat16)]
    return seconds[0] / seconds[1]


@torch.no_grad()
def _seconds(dtype: torch.dtype) -> float:
    images, kernel = torch.zeros(4, 96, 32, 48, dtype=dtype), torch.zeros(96, 96, 3, 3, dtype=dtype)
    rows, weights = torch.zeros(2048, 384, dtype=dtype), torch.zeros(384, 384, dtype=dtype)
    work: tuple[Callable[[], Tensor], ...] = (
        lambda: torch.conv2d(images, kernel, padding=1),
        lambda: rows @ weights,
    )
    return sum(min(_timed(one) for _ in range(NUM_RUNS)) for one in work)


def _timed(work: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cache_file() -> Path:
    """Return where the check's result is kept."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder, "fairy", "cpu_precision.json")


def _remembered(key: str) -> float | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        return float(json.loads(cache_file().read_text(encoding="utf-8"))[key])
    return None


def _remember(key: str, speed_up: float) -> None:
    # A cache that cannot be written is checked again
    with suppress(OSError):
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        cache_file().write_text(json.dumps({key: round(speed_up, 3)}) + "\n", encoding="utf-8")
