"""Schedulers by name, set up for few steps.

All with trailing timesteps: at 10 steps "linspace" wastes the last evaluation and "leading" starts
at 901, where edits of the whole image's brightness are still unreached; "trailing" is 999 ... 99.
Tests: tests/models/test_schedulers.py.
"""

from __future__ import annotations

from typing import Any

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
)

from fairy.errors import ModelError

SCHEDULERS: dict[str, Any] = {
    "euler_ancestral": EulerAncestralDiscreteScheduler,
    "euler": EulerDiscreteScheduler,
    "ddim": DDIMScheduler,
    "dpmpp_2m": DPMSolverMultistepScheduler,
}


def make_scheduler(name: str, own: Any) -> Any:
    """Return the scheduler `name` with the noise schedule of the model's own one.

    Raises:
        ModelError: an unknown name.
    """
    if name not in SCHEDULERS:
        raise ModelError(f"scheduler {name!r} is unknown: use {', '.join(SCHEDULERS)}")
    return SCHEDULERS[name].from_config(own.config, timestep_spacing="trailing")
