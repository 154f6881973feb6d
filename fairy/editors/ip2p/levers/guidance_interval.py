"""Guidance in only some of the steps; in the others the UNet has a third of the rows.

The other steps compute only the `text` branch, as at guidance scales of 1. The idea is from
Kynkäänniemi et al. 2024 (arXiv 2404.07724).
Tests: tests/editors/ip2p/levers/test_guidance_interval.py.
"""

from __future__ import annotations

from dataclasses import replace

from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.levers.base import Lever, Step

# Only the `text` branch (`Guidance.combine`)
UNGUIDED = Guidance(guidance_scale=1.0, image_guidance_scale=1.0)


def guided_steps(num_steps: int, interval: tuple[float, float]) -> range:
    """Return the steps inside an interval, given as fractions of all steps.

    >>> guided_steps(4, (0.0, 0.5))
    range(0, 2)
    """
    first, end = interval
    return range(round(first * num_steps), round(end * num_steps))


class GuidanceInterval(Lever):
    """Drops all branches but the first outside an interval of the steps.

    Args:
        interval: (first, end) as fractions of the steps.
    """

    drops_branches = True

    def __init__(self, interval: tuple[float, float]) -> None:
        self._interval = interval

    def at_step(self, step: Step) -> Step:
        """Return the step, without guidance if it is outside the interval."""
        if step.index in guided_steps(step.num_steps, self._interval):
            return step
        return replace(step, guidance=UNGUIDED)
