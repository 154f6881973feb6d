"""What makes an edit faster, beside the plain loop (`fairy.editors.ip2p.denoise`).

To add one: a `Lever` in a file of its own, a field of `fairy.settings.Shortcuts`, a line below.
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
        SettingsError: a shortcut that this UNet cannot take.
    """
    levers: list[Lever] = []
    if shortcuts.guidance_interval != EXACT.guidance_interval:
        levers.append(GuidanceInterval(shortcuts.guidance_interval))
    if shortcuts.reuse != EXACT.reuse:
        # After the guidance: it asks which branches a step has
        levers.append(DeepCache(unet, shortcuts.reuse))
    return tuple(levers)
