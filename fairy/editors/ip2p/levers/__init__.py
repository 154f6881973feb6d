"""Levers make an edit faster without changing the plain loop (`fairy.editors.ip2p.denoise`).

To add one: write a `Lever` in its own file, add a field to `fairy.settings.Shortcuts`, and a line
below.
"""

from __future__ import annotations

from diffusers import UNet2DConditionModel

from fairy.editors.ip2p.levers.base import Lever
from fairy.editors.ip2p.levers.deep_cache import DeepCache
from fairy.editors.ip2p.levers.guidance_interval import GuidanceInterval
from fairy.settings import EXACT, Shortcuts


def make_levers(unet: UNet2DConditionModel, shortcuts: Shortcuts) -> tuple[Lever, ...]:
    """Return the levers for these shortcuts, in the order in which they change a step.

    Raises:
        SettingsError: this UNet does not support one of the shortcuts.
    """
    levers: list[Lever] = []
    if shortcuts.guidance_interval != EXACT.guidance_interval:
        levers.append(GuidanceInterval(shortcuts.guidance_interval))
    if shortcuts.reuse != EXACT.reuse:
        # After the guidance, because it depends on the branches of each step
        levers.append(DeepCache(unet, shortcuts.reuse))
    return tuple(levers)
