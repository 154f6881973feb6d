"""Latents that follow a given picture through all steps; predictions that stay near the source.

Outside a mask, latents follow the source; those of an anchor that a person edited follow that
picture. Before each step they are the picture's latents with the noise of that step, and at the end
the picture's latents. Shapes: latents (F,C,h,w), in the scale of the denoising loop.
Tests: tests/editors/ip2p/test_held.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Held:
    """What a batch of latents must follow, and where.

    Attributes:
        target: (F,C,h,w), the latents to follow, without noise.
        free: (F,1,h,w), 1 where latents go their own way and 0 where they follow `target`.
        share: of the steps that are held, counted from the first; 1 holds the result too.
    """

    target: Tensor
    free: Tensor
    share: float = 1.0

    def at(self, latents: Tensor, index: int, scheduler: Any, noise: Tensor) -> Tensor:
        """Return the latents with which step `index` begins; the result after the last one.

        Args:
            latents: (F,C,h,w).
            index: of the step; the number of steps for the result.
            scheduler: whose timesteps are set.
            noise: (1,C,h,w), the clip's.
        """
        num_steps = len(scheduler.timesteps)
        if index >= self.share * num_steps and (index < num_steps or self.share < 1):
            return latents
        target = self.target
        if index < num_steps:
            times = scheduler.timesteps[index : index + 1].expand(len(target))
            target = scheduler.add_noise(target, noise.expand_as(target), times).to(latents)
        return torch.where(self.free > 0, latents, target)

    def rows(self, num_rows: int) -> Held:
        """Return it for latents whose last row was repeated up to `num_rows`."""
        order = torch.arange(num_rows).clamp(max=len(self.target) - 1)
        return Held(self.target[order], self.free[order], self.share)


def hold(
    held: Sequence[Held], latents: Tensor, index: int, scheduler: Any, noise: Tensor
) -> Tensor:
    """Return latents (F,C,h,w) with everything that is held in step `index` in its place."""
    for one in held:
        latents = one.at(latents, index, scheduler, noise)
    return latents


def near_source(
    noise_pred: Tensor,
    source: Tensor,
    latents: Tensor,
    timestep: Tensor,
    scheduler: Any,
    strength: float,
) -> Tensor:
    """Return the prediction, moved towards the one whose clean latents are the source's.

    All kinds of prediction are affine in the clean latents, so this moves the clean latents that a
    step expects in the same proportion.

    Args:
        noise_pred: (F,C,h,w), of the scheduler's `prediction_type`.
        source: (F,C,h,w), the source's latents.
        latents: (F,C,h,w), before the step.
        timestep: of the step.
        scheduler: whose timesteps are set.
        strength: 1 leaves the prediction as it is, 0 gives the source.
    """
    one = torch.ones((1, 1, 1, 1), dtype=torch.float32, device=latents.device)
    times = timestep.reshape(1)
    # latents = signal * clean + sigma * noise, whatever the scheduler's parameterisation
    signal = scheduler.add_noise(one, torch.zeros_like(one), times)
    sigma = scheduler.add_noise(torch.zeros_like(one), one, times)
    noise = (latents - signal * source) / sigma
    kind = scheduler.config.prediction_type
    if kind == "sample":
        wanted = source
    elif kind == "epsilon":
        wanted = noise
    else:
        length = (signal**2 + sigma**2).sqrt()
        wanted = (signal * noise - sigma * source) / length
    return torch.lerp(wanted.to(noise_pred), noise_pred, strength)
