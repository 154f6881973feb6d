"""`fairy doctor`: what would run on this machine; with --plan, memory and time of an edit.

Tests: tests/cli/test_doctor.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console

from fairy.cli.console import quiet_libraries, say, terminal
from fairy.cli.options import with_options
from fairy.errors import FairyError
from fairy.settings import EditConfig

# The settings that the memory of an edit depends on
PLANNED = (
    "model", "size", "num_inference_steps", "guidance_scale", "image_guidance_scale", "num_anchors",
    "frame_batch_size", "dtype", "backend", "device", "control", "ip_adapter",
)  # fmt: skip
MARKS = {"ok": "ok", "note": "--", "missing": "!!"}


@with_options(EditConfig, only=PLANNED)
def doctor(
    config: EditConfig,
    plan: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Print the memory and time of an edit of such a clip."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Memory of the device, as in 8GB, instead of usual cards."
        ),
    ] = None,
) -> None:
    """Check what runs on this machine, and what is missing.

    --plan WxH prints the memory that an edit needs, and the time that it takes on this machine,
    measured by a short probe; the other options are for that. The model may
    also be "sd15", Stable Diffusion 1.5's shape; the backend auto counts as sdpa.
    """
    quiet_libraries()
    if plan is None:
        show_checks(terminal())
    else:
        show_plan(terminal(), plan, memory, config)


def show_checks(console: Console) -> None:
    """Print a line per check.

    Raises:
        FairyError: an edit cannot run here.
    """
    from fairy.doctor.checks import examine

    checks = examine()
    for check in checks:
        say(console, f"{MARKS[check.state]} {check.name:<12} {check.text}")
    missing = [check.name for check in checks if check.state == "missing"]
    if missing:
        raise FairyError(f"an edit cannot run here: {', '.join(missing)}; see the lines marked !!")


def show_plan(console: Console, size: str, memory: str | None, config: EditConfig) -> None:
    """Print the memory plan for the requested device; for "auto" also for a CUDA card."""
    import torch

    from fairy.cli.memory_tables import show_memory
    from fairy.doctor.memory_plan import parse_memory, parse_size, plan_memory

    clip_size, num_bytes = parse_size(size), None if memory is None else parse_memory(memory)
    on_cpu = config.device == "cpu"
    kinds = [] if on_cpu else ["cuda"]
    if on_cpu or (config.device == "auto" and not torch.cuda.is_available()):
        kinds.append("cpu")
    for kind in kinds:
        show_memory(console, clip_size, plan_memory(clip_size, config, kind), num_bytes)
    show_time(console, clip_size, config)


def show_time(console: Console, clip_size: tuple[int, int], config: EditConfig) -> None:
    """Print how long an edit takes here, if the model and its device are here."""
    import torch

    from fairy.doctor.time_plan import can_measure, measure_time

    if config.device.startswith("cuda") and not torch.cuda.is_available():
        say(console, "time here: not measured: this machine has no CUDA card")
        return
    if not can_measure(config):
        say(console, f"time here: not measured: {config.model} is not on this machine")
        return
    without = "" if config.ip_adapter is None else ", without the IP-Adapter"
    try:
        plan = measure_time(clip_size, replace(config, ip_adapter=None))
    except FairyError as error:
        say(console, f"time here: not measured: {error}")
        return
    say(
        console,
        f"time here{without}, measured on {plan.device} just now: {plan.load_s:.1f} s to load, "
        f"{plan.anchors_s:.1f} s for the anchors of a shot, {plan.frame_s:.2f} s a frame: "
        f"10 s at 24 frames/s take about {in_words(plan.seconds(240))}",
    )


def in_words(seconds: float) -> str:
    """Return seconds for people.

    >>> in_words(42.4), in_words(200), in_words(9000)
    ('42 s', '3 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
