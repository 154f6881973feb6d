"""What `fairy doctor` does: what would run here; with --plan, what fits into memory.

Tests: tests/doctor/test_checks.py, tests/doctor/test_memory_plan.py.
"""

from __future__ import annotations

from typing import Annotated

import psutil
import torch
import typer
from rich.console import Console
from rich.table import Table

from fairy.cli.console import say
from fairy.doctor.checks import examine
from fairy.doctor.memory_plan import (
    CARDS_GB,
    Fit,
    MemoryPlan,
    parse_memory,
    parse_size,
    plan_memory,
)
from fairy.errors import FairyError
from fairy.settings import EditConfig
from fairy.system import GIB

DEFAULTS = EditConfig()


def doctor_command(
    plan: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Say what an edit of a clip of this size takes."),
    ] = None,
    model: Annotated[
        str, typer.Option(help='As for fairy edit; or "sd15": Stable Diffusion 1.5\'s shape.')
    ] = DEFAULTS.model,
    size: Annotated[
        int | None, typer.Option(help="Longer side in pixels at which the model works.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    num_anchors: Annotated[int, typer.Option(help="Anchor frames.")] = DEFAULTS.num_anchors,
    frame_batch_size: Annotated[
        int | None, typer.Option(help="Frames denoised together. Default: as many as fit.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, float16, bfloat16.")] = DEFAULTS.dtype,
    backend: Annotated[
        str, typer.Option(help="auto (reckoned as sdpa), triton, sdpa, reference.")
    ] = DEFAULTS.backend,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = DEFAULTS.device,
    memory: Annotated[
        str | None, typer.Option(help="Of the device, as in 8GB. Default: usual cards, and here.")
    ] = None,
) -> None:
    """Say what would run on this machine and what is missing; with --plan, what fits."""
    if plan is None:
        say_what_runs(Console())
        return
    config = EditConfig(
        model=model, size=size, num_inference_steps=steps, num_anchors=num_anchors,
        frame_batch_size=frame_batch_size, dtype=dtype, backend=backend,
    )  # fmt: skip
    clip_size, num_bytes = parse_size(plan), None if memory is None else parse_memory(memory)
    if device != "cpu":
        say_what_fits(Console(), clip_size, plan_memory(clip_size, config, "cuda"), num_bytes)
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        say_what_fits(Console(), clip_size, plan_memory(clip_size, config, "cpu"), num_bytes)


def say_what_runs(console: Console) -> None:
    """Print what was looked at, a line each.

    Raises:
        FairyError: an edit cannot run here.
    """
    marks = {"ok": "ok", "note": "--", "missing": "!!"}
    checks = examine()
    for check in checks:
        say(console, f"{marks[check.state]} {check.name:<12} {check.text}")
    missing = [check.name for check in checks if check.state == "missing"]
    if missing:
        raise FairyError(f"an edit cannot run here: {', '.join(missing)}; see the lines marked !!")


def say_what_fits(
    console: Console, clip_size: tuple[int, int], plan: MemoryPlan, num_bytes: int | None
) -> None:
    """Print what an edit takes, and what fits into `num_bytes`, or into usual memories."""
    shape, (height, width) = plan.shape, clip_size
    where = "on the CPU" if plan.device_type == "cpu" else "on a CUDA card"
    say(
        console,
        f"{width}x{height} {where}: edited at {shape.size[1]}x{shape.size[0]} in "
        f"{shape.num_steps} steps, {shape.num_anchors} anchors, {shape.guidance.num_groups} "
        f"guidance branches, {str(shape.dtype).removeprefix('torch.')}, {shape.backend}",
    )
    for name, text in _amounts(plan):
        say(console, f"  {name:<14}{text}")
    console.print(_table(plan, num_bytes))


def _amounts(plan: MemoryPlan) -> list[tuple[str, str]]:
    least = gib(plan.least())
    if plan.device_type != "cpu":
        least += f"; {gib(plan.least(cache_far=True))} with --anchor-cache-device cpu"
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
        table.add_column("cache on the host: frames", justify="right")
        table.add_column("peak", justify="right")
    for name, amount in _memories(plan.device_type, num_bytes):
        cells = _cells(plan.fit(amount))
        if plan.device_type != "cpu":
            cells += _cells(plan.fit(amount, cache_far=True))
        table.add_row(name, *cells)
    return table


def _memories(device_type: str, num_bytes: int | None) -> list[tuple[str, int]]:
    """Return names and bytes of the memories to fill."""
    if num_bytes is not None:
        return [(gib(num_bytes), num_bytes)]
    if device_type == "cpu":
        free = psutil.virtual_memory().available
        return [(f"{gib(free)} free here", free)]
    return [(f"{card} GB", card * GIB) for card in CARDS_GB]


def _cells(fit: Fit | None) -> list[str]:
    return ["does not fit", ""] if fit is None else [str(fit.num_frames), gib(fit.peak)]


def gib(num_bytes: int) -> str:
    """Return bytes in GiB for people, as in "2.1 GiB"."""
    return f"{num_bytes / GIB:.2f} GiB" if num_bytes < GIB else f"{num_bytes / GIB:.1f} GiB"
