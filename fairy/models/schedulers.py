"""Schedulers by name, set up for few steps.

All use trailing timesteps, which are 999 ... 99 at 10 steps. "linspace" wastes the last evaluation,
and "leading" starts at 901, too late to change the brightness of a whole image.
Tests: tests/models/test_schedulers.py.
"""

from __future__ import annotations

from typing import Any

from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
)

from fairy.errors import ModelError

SCHEDULERS: dict[str, Any] = {
    "euler_ancestral": EulerAncestralDiscreteScheduler,
    "euler": EulerDiscreteScheduler,
    "ddim": DDIMScheduler,
    "ddpm": DDPMScheduler,
    "dpmpp_2m": DPMSolverMultistepScheduler,
    "lcm": LCMScheduler,
}
# Of these, the ones that support a UNet that predicts the clean sample (x0)
TAKE_SAMPLES = (
    EulerDiscreteScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    LCMScheduler,
)


def make_scheduler(name: str | None, own: Any) -> Any:
    """Return the scheduler `name` with the noise schedule of the model's own one.

    If the model predicts the clean sample and `name` does not support that, the result is the
    model's own scheduler with trailing timesteps, or DDPM if that does not support it either.

    Args:
        name: a key of `SCHEDULERS`; None for the model's own, unchanged.
        own: the scheduler that the model came with.

    Raises:
        ModelError: an unknown name.
    """
    if name is not None and name not in SCHEDULERS:
        raise ModelError(f"scheduler {name!r} is unknown: use {', '.join(SCHEDULERS)}")
    kind = type(own) if name is None else SCHEDULERS[name]
    if own.config.get("prediction_type") == "sample" and kind not in TAKE_SAMPLES:
        kind = type(own) if type(own) in TAKE_SAMPLES else DDPMScheduler
    elif name is None:
        return own
    return kind.from_config(own.config, timestep_spacing="trailing")
