"""The loops: anchors first through all steps, then frame batches. No files, no models built.

image_latents (F,C,h,w) -> latents (F,C,h,w). The UNet sees (G*F,2C,h,w), group-major.

`plan_steps` says which steps compute what: the guidance branches and the UNet's levels of each.
Anchors and frames go by the same plan, so frames find in the anchors' cache what they look for.
Tests: tests/editors/ip2p/test_denoise.py.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from fairy.anchors.attention import AnchorPass, anchor_attention
from fairy.anchors.backends import Backend
from fairy.anchors.cache import AnchorCache
from fairy.editors.compute import not_compiled
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.latents import ClipNoise, avoid_single_row
from fairy.editors.ip2p.levers.deep_cache import LowerLevels
from fairy.editors.ip2p.levers.shared_branches import shared_branches
from fairy.settings import EXACT, Shortcuts

StepCallback = Callable[[int, Tensor, dict[str, Tensor]], dict[str, Tensor]]
"""(step, timestep, tensors by name) -> those to replace: "latents" (F,C,h,w), "prompt_embeds"
(G*F,L,D), "image_latents" (G*F,C,h,w)."""

# Follows the instruction alone: as guidance scales of 1 (`Guidance.combine`)
UNGUIDED = Guidance(guidance_scale=1.0, image_guidance_scale=1.0)


@dataclass(frozen=True)
class Step:
    """What one denoising step computes.

    Attributes:
        guidance: the guidance branches.
        reuses: whether the UNet's lower levels are those of an earlier step
            (`fairy.editors.ip2p.levers.deep_cache`).
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


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """Everything that is the same for all frames of a clip.

    Attributes:
        unet: the model.
        scheduler: a diffusers scheduler; copied for every pass, since schedulers hold state.
        num_inference_steps: denoising steps.
        prompt_embeds: (G,L,D), one row per guidance branch.
        guidance: how branches are made and combined, in guided steps.
        noise: the clip's noise.
        backend: how attention is computed.
        cache: filled by `edit_anchors`, read by `edit_frames`.
        eta: noise of DDIM; other schedulers ignore it.
        cross_attention_kwargs: as in diffusers, such as {"scale": 0.5} for a LoRA.
        shortcuts: which steps are guided, and which reuse the UNet's lower levels.
        on_step_end: called after every step.
    """

    unet: UNet2DConditionModel
    scheduler: Any
    num_inference_steps: int
    prompt_embeds: Tensor
    guidance: Guidance
    noise: ClipNoise
    backend: Backend
    cache: AnchorCache
    eta: float = 0.0
    cross_attention_kwargs: dict[str, Any] | None = None
    shortcuts: Shortcuts = EXACT
    on_step_end: StepCallback | None = None

    @torch.no_grad()
    def edit_anchors(self, image_latents: Tensor) -> Tensor:
        """Return the anchors' latents (A,C,h,w), all edited together; fills the cache."""
        with not_compiled():
            return self._denoise(image_latents, writing=True)

    @torch.no_grad()
    def edit_frames(self, image_latents: Tensor) -> Tensor:
        """Return the latents (F,C,h,w) of frames that are not anchors; reads the cache."""
        num_frames = image_latents.shape[0]
        one_branch = self.shortcuts.guidance_interval != EXACT.guidance_interval
        if one_branch or self.guidance.num_groups == 1:
            image_latents = avoid_single_row(image_latents)
        return self._denoise(image_latents, writing=False)[:num_frames]

    def _denoise(self, image_latents: Tensor, *, writing: bool) -> Tensor:
        """Run all steps for image_latents (F,C,h,w)."""
        num_frames = image_latents.shape[0]
        scheduler = copy.deepcopy(self.scheduler)
        scheduler.set_timesteps(self.num_inference_steps, device=image_latents.device)
        step_kwargs = self._step_kwargs(scheduler, num_frames)
        prompt_embeds = self.guidance.expand_prompt(self.prompt_embeds, num_frames)
        conditions = self.guidance.expand_image_latents(image_latents)
        latents: Tensor = (
            self.noise.initial.expand(num_frames, -1, -1, -1) * scheduler.init_noise_sigma
        )
        state = AnchorPass(self.cache, self.backend, num_frames, writing)
        levels = LowerLevels(self.unet) if self.shortcuts.reuse > 1 else None
        steps = plan_steps(len(scheduler.timesteps), self.guidance, self.shortcuts)
        with anchor_attention(self.unet, state), shared_branches(self.unet, state):
            for index, (timestep, step) in enumerate(zip(scheduler.timesteps, steps, strict=True)):
                guidance = step.guidance
                state.begin_step(index)
                rows = scheduler.scale_model_input(guidance.expand_latents(latents), timestep)
                # Fewer branches are the first ones
                rows = torch.cat([rows, conditions[: len(rows)]], dim=1)
                with levels.at(reused=step.reuses) if levels else nullcontext():
                    predicted = self._predict(rows, timestep, prompt_embeds[: len(rows)])
                noise_pred = guidance.combine(predicted)
                latents = scheduler.step(noise_pred, timestep, latents, **step_kwargs).prev_sample
                if self.on_step_end is not None:
                    tensors = {
                        "latents": latents,
                        "prompt_embeds": prompt_embeds,
                        "image_latents": conditions,
                    }
                    tensors |= self.on_step_end(index, timestep, tensors)
                    latents, prompt_embeds, conditions = tensors.values()
        self.cache.end_pass()
        return latents

    def _predict(self, rows: Tensor, timestep: Tensor, prompt_embeds: Tensor) -> Tensor:
        """Return the UNet's prediction (G*F,C,h,w) for rows (G*F,2C,h,w)."""
        noise_pred: Tensor = self.unet(
            rows,
            timestep,
            encoder_hidden_states=prompt_embeds,
            cross_attention_kwargs=self.cross_attention_kwargs,
            return_dict=False,
        )[0]
        return noise_pred

    def _step_kwargs(self, scheduler: Any, num_frames: int) -> dict[str, Any]:
        """Return what this kind of scheduler takes besides the prediction."""
        offered = {"eta": self.eta, "generator": self.noise.generators(num_frames)}
        taken = inspect.signature(scheduler.step).parameters
        return {name: value for name, value in offered.items() if name in taken}
