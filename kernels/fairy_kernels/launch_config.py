"""Launch settings of the kernel: block sizes, warps and stages by card and head dimension.

They come from a table, so nothing is tried at start-up. Rows that `python -m fairy_kernels.tune`
measured on the user's own card take precedence.
Tests: tests/kernels/test_launch_config.py, test_static.py (every row compiles without spills).
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

logger = logging.getLogger(__name__)

MAX_HEAD_DIM = 256
# Head dimension -> tokens of the most expensive layer with it: Stable Diffusion 1.5 at 512×384,
# SDXL-class models at 1024×1024
TUNED_TOKENS = {40: 3072, 64: 4096, 80: 768, 128: 4096, 160: 192}
TUNED_HEAD_DIMS = tuple(TUNED_TOKENS)
TUNED_FILE_VARIABLE = "FAIRY_TUNED_FILE"

# Shared memory limit of one program in bytes (CUDA programming guide, compute capabilities)
SHARED_BYTES = {
    80: 163 * 1024,
    86: 99 * 1024,
    87: 163 * 1024,
    89: 99 * 1024,
    90: 227 * 1024,
    100: 227 * 1024,
    103: 227 * 1024,
    120: 99 * 1024,
    121: 99 * 1024,
}


@dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """Settings of one launch.

    Attributes:
        block_m: queries per program.
        block_n: keys per tile.
        num_warps: warps per program.
        num_stages: tiles in flight.
        fixed_shift: subtract one tile's maximum throughout instead of the running one.
        split: split the head dimension into two powers of two instead of padding it to one.
    """

    block_m: int
    block_n: int
    num_warps: int
    num_stages: int
    fixed_shift: bool = True
    split: bool = True


# (compute capability of the generation, head dimension) -> settings, 16 bit.
# All rows have the fewest instructions per score without spills, by `python -m
# fairy_kernels.static` with triton 3.7.1. None is measured: no GPU has run the kernel yet.
TABLE = {
    (80, 40): LaunchConfig(block_m=128, block_n=64, num_warps=8, num_stages=2),
    (80, 64): LaunchConfig(block_m=128, block_n=64, num_warps=8, num_stages=2),
    (80, 80): LaunchConfig(block_m=128, block_n=64, num_warps=8, num_stages=2),
    (80, 128): LaunchConfig(block_m=128, block_n=32, num_warps=8, num_stages=2),
    (80, 160): LaunchConfig(block_m=128, block_n=32, num_warps=8, num_stages=2),
    (90, 40): LaunchConfig(block_m=128, block_n=128, num_warps=8, num_stages=2),
    (90, 64): LaunchConfig(block_m=128, block_n=128, num_warps=8, num_stages=2),
    (90, 80): LaunchConfig(block_m=128, block_n=128, num_warps=8, num_stages=2),
    (90, 128): LaunchConfig(block_m=128, block_n=128, num_warps=8, num_stages=2),
    (90, 160): LaunchConfig(block_m=128, block_n=64, num_warps=8, num_stages=2),
    (100, 40): LaunchConfig(block_m=128, block_n=64, num_warps=4, num_stages=2),
    (100, 64): LaunchConfig(block_m=128, block_n=64, num_warps=4, num_stages=2),
    (100, 80): LaunchConfig(block_m=128, block_n=64, num_warps=4, num_stages=2),
    (100, 128): LaunchConfig(block_m=128, block_n=64, num_warps=8, num_stages=2),
    (100, 160): LaunchConfig(block_m=128, block_n=64, num_warps=8, num_stages=2),
}
# Small enough for every card
SMALL = LaunchConfig(block_m=64, block_n=32, num_warps=4, num_stages=1)
# float32 does not use tensor cores: products are added up in registers
FLOAT32 = LaunchConfig(block_m=16, block_n=16, num_warps=4, num_stages=1)
# The interpreter's time grows with the number of programs and tiles; small blocks test more edges
INTERPRETED = LaunchConfig(block_m=32, block_n=32, num_warps=4, num_stages=1)


def choose_config(
    head_dim: int, num_queries: int, dtype: torch.dtype, device: torch.device
) -> LaunchConfig:
    """Return the settings for q (B,N,H,D) with D = `head_dim`, N = `num_queries` on `device`."""
    if device.type == "cpu":
        return INTERPRETED
    if dtype == torch.float32:
        return FLOAT32
    measured = find_measured(head_dim, device)
    config = measured or table_config(head_dim, generation(device))
    return fit_queries(config, num_queries)


def table_config(head_dim: int, capability: int) -> LaunchConfig:
    """Return the row for a generation (80, 90, 100, 120) and the next larger head dim it has."""
    rows = {
        row_dim: row
        for (row_capability, row_dim), row in TABLE.items()
        if row_capability == capability
    }
    wider = [row_dim for row_dim in rows if row_dim >= head_dim]
    return rows[min(wider)] if wider else SMALL


def fit_queries(config: LaunchConfig, num_queries: int) -> LaunchConfig:
    """Return `config` with smaller blocks if large ones would be mostly empty.

    >>> large = LaunchConfig(block_m=128, block_n=64, num_warps=8, num_stages=2)
    >>> fit_queries(large, num_queries=48).block_m
    64
    """
    while config.block_m > 64:
        rows = -(-num_queries // config.block_m) * config.block_m
        smaller = replace(
            config, block_m=config.block_m // 2, num_warps=max(4, config.num_warps // 2)
        )
        if rows <= 1.25 * (-(-num_queries // smaller.block_m) * smaller.block_m):
            break
        config = smaller
    # With so few keys most tiles are partial, and masks need registers
    return replace(config, block_n=min(config.block_n, 32)) if num_queries <= 64 else config


def generation(device: torch.device) -> int:
    """Return the capability whose rows a card uses; with little shared memory, it has none."""
    if torch.version.hip is not None:
        return 0
    major, minor = torch.cuda.get_device_capability(device)
    capability = 10 * major + minor
    return capability if SHARED_BYTES.get(capability, 0) < 128 * 1024 else 10 * major


def split_head_dim(head_dim: int, *, split: bool = True) -> tuple[int, int]:
    """Return the powers of two (at least 16) that a head is split into; 0 for no second one.

    >>> split_head_dim(40), split_head_dim(64), split_head_dim(24), split_head_dim(160)
    ((32, 16), (64, 0), (32, 0), (128, 32))
    """
    padded = max(16, _power_of_two(head_dim))
    if padded in (head_dim, 16) or not split:
        return padded, 0
    main = padded // 2
    rest = max(16, _power_of_two(head_dim - main))
    return (main, rest) if main + rest < padded else (padded, 0)


def _power_of_two(number: int) -> int:
    """Return the smallest power of two that is not below `number`."""
    return 1 << (number - 1).bit_length()


def tuned_file() -> Path:
    """Return the file with the user's own rows: FAIRY_TUNED_FILE, or one in ~/.config/fairy."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Path(os.environ.get(TUNED_FILE_VARIABLE) or home / "fairy" / "attention.json")


def find_measured(head_dim: int, device: torch.device) -> LaunchConfig | None:
    """Return the measured row for this card and head dimension, if it was faster than SDPA."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    for row in read_rows(tuned_file()):
        if (row["device"], row["head_dim"]) == (name, head_dim) and row["ms"] < row["sdpa_ms"]:
            return LaunchConfig(**row["config"])
    return None


@lru_cache
def read_rows(path: Path) -> tuple[dict[str, Any], ...]:
    """Return the rows of a tuned file; none if it does not exist or cannot be read."""
    if not path.exists():
        return ()
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return tuple(row for row in rows if LaunchConfig(**row["config"]) and row["device"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning("%s: cannot be read (%s); the table's settings are used", path, error)
        return ()


def write_row(path: Path, row: dict[str, Any], config: LaunchConfig) -> None:
    """Write a row (device, head_dim, ms, sdpa_ms ...) with its settings to a tuned file."""
    key = (row["device"], row["head_dim"])
    kept = [old for old in read_rows(path) if (old["device"], old["head_dim"]) != key]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*kept, {**row, "config": asdict(config)}], indent=1) + "\n")
    read_rows.cache_clear()
