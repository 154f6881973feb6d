"""Which steps compute what: the guidance branches and the UNet's levels of each denoising step.

Anchors and frames go by the same plan, so frames find in the anchors' cache what they look for.
Tests: tests/editing/test_steps.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from fairy.config import Shortcuts
from fairy.editing.guidance import Guidance

# Follows the instruction alone: as guidance scales of 1 (`Guidance.combine`)
UNGUIDED = Guidance(guidance_scale=1.0, image_guidance_scale=1.0)


@dataclass(frozen=True)
class Step:
    """What one denoising step computes.

    Attributes:
        guidance: the guidance branches.
        reuses: whether the UNet's lower levels are those of an earlier step
            (`fairy.editing.reuse`).
    """

    guidance: Guidance
    reuses: bool


def plan_steps(num_steps: int, guidance: Guidance, shortcuts: Shortcuts) -> list[Step]:
    """Return what each of `num_steps` steps computes.

    Lower levels are computed in every `shortcuts.reuse`-th step, and where a step has branches that
    the last computed ones lack.

    >>> half = Shortcuts(guidance_interval=(0.0, 0.5))
    >>> [step.guidance.num_groups for step in plan_steps(4, Guidance(7.5, 1.5), half)]
    [3, 3, 1, 1]
    """
    first, end = (round(part * num_steps) for part in shortcuts.guidance_interval)
    steps: list[Step] = []
    num_groups_kept = 0
    for index in range(num_steps):
        here = guidance if first <= index < end else UNGUIDED
        reuses = index % shortcuts.reuse != 0 and here.num_groups <= num_groups_kept
        num_groups_kept = num_groups_kept if reuses else here.num_groups
        steps.append(Step(here, reuses))
    return steps
