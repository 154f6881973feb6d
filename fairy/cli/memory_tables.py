"""Print the memory that an edit needs, and what fits: the output of `fairy doctor --plan`.

Tests: tests/doctor/test_memory_plan.py.
"""

from __future__ import annotations

import psutil
from rich.console import Console
from rich.table import Table

from fairy.cli.console import say
from fairy.doctor.memory_plan import (
    CARDS_GB,
    Fit,
    MemoryPlan,
)
from fairy.system import GIB


def show_memory(
    console: Console, clip_size: tuple[int, int], plan: MemoryPlan, num_bytes: int | None
) -> None:
    """Print the memory an edit needs, and how many frames fit into `num_bytes` or usual cards."""
    shape, (height, width) = plan.shape, clip_size
    where = "on the CPU" if plan.device_type == "cpu" else "on a CUDA card"
    say(
        console,
        f"{width}x{height} {where}: edited at {shape.size[1]}x{shape.size[0]} in "
        f"{shape.num_steps} steps, {shape.num_anchors} anchors, {shape.num_groups} "
        f"guidance branches, {str(shape.dtype).removeprefix('torch.')}, {shape.backend}",
    )
    for name, text in _amounts(plan):
        say(console, f"  {name:<14}{text}")
    console.print(_table(plan, num_bytes))


def _amounts(plan: MemoryPlan) -> list[tuple[str, str]]:
    least = gib(plan.least())
    if plan.device_type != "cpu":
        least += f"; {gib(plan.least(cache_far=True))} with {plan.other_way[1]}"
    return [
        ("weights", gib(plan.weights)),
        ("anchor cache", gib(plan.near.cache)),
        ("each frame", f"{gib(plan.near.frame)}, of those edited at a time"),
        ("at least", least),
    ]


def _table(plan: MemoryPlan, num_bytes: int | None) -> Table:
    table = Table()
    for name in ("memory", "frames at a time", "peak"):
        table.add_column(name, justify="right")
    if plan.device_type != "cpu":
        table.add_column(f"{plan.other_way[0]}: frames", justify="right")
        table.add_column("peak", justify="right")
    for name, amount in _memories(plan.device_type, num_bytes):
        cells = _cells(plan.fit(amount))
        if plan.device_type != "cpu":
            cells += _cells(plan.fit(amount, cache_far=True))
        table.add_row(name, *cells)
    return table


def _memories(device_type: str, num_bytes: int | None) -> list[tuple[str, int]]:
    """Return names and bytes of the memory sizes to show."""
    if num_bytes is not None:
        return [(gib(num_bytes), num_bytes)]
    if device_type == "cpu":
        free = psutil.virtual_memory().available
        return [(f"{gib(free)} free here", free)]
    return [(f"{card} GB", card * GIB) for card in CARDS_GB]


def _cells(fit: Fit | None) -> list[str]:
    return ["does not fit", ""] if fit is None else [str(fit.num_frames), gib(fit.peak)]


def gib(num_bytes: int) -> str:
    """Return bytes as text in GiB, as in "2.1 GiB"."""
    return f"{num_bytes / GIB:.2f} GiB" if num_bytes < GIB else f"{num_bytes / GIB:.1f} GiB"
