"""The loops: anchors first through all steps, then frame batches. No files, no models built.

image_latents (F,C,h,w) -> latents (F,C,h,w). The UNet sees (G*F,2C,h,w), group-major.
Tests: tests/editing/test_denoise.py.
"""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from fairy.editing.attention import AnchorPass, anchor_attention
from fairy.editing.backends import Backend
from fairy.editing.cache import AnchorCache
from fairy.editing.guidance import Guidance
from fairy.editing.latents import ClipNoise, avoid_single_row


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """Everything that is the same for all frames of a clip.

    Attributes:
        unet: the model.
        scheduler: a diffusers scheduler; copied for every pass, since schedulers hold state.
        num_inference_steps: denoising steps.
        prompt_embeds: (G,L,D), one row per guidance branch.
        guidance: how branches are made and combined.
        noise: the clip's noise.
        backend: how attention is computed.
        cache: filled by `edit_anchors`, read by `edit_frames`.
        eta: noise of DDIM; other schedulers ignore it.
        cross_attention_kwargs: as in diffusers, such as {"scale": 0.5} for a LoRA.
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

    @torch.no_grad()
    def edit_anchors(self, image_latents: Tensor) -> Tensor:
        """Return the anchors' latents (A,C,h,w), all edited together; fills the cache."""
        return self._denoise(image_latents, writing=True)

    @torch.no_grad()
    def edit_frames(self, image_latents: Tensor) -> Tensor:
        """Return the latents (F,C,h,w) of frames that are not anchors; reads the cache."""
        num_frames = image_latents.shape[0]
        if self.guidance.num_groups == 1:
            image_latents = avoid_single_row(image_latents)
        return self._denoise(image_latents, writing=False)[:num_frames]

    def _denoise(self, image_latents: Tensor, *, writing: bool) -> Tensor:
        """Run all steps for image_latents (F,C,h,w)."""
        num_frames, num_groups = image_latents.shape[0], self.guidance.num_groups
        scheduler = copy.deepcopy(self.scheduler)
        scheduler.set_timesteps(self.num_inference_steps, device=image_latents.device)
        step_kwargs = self._step_kwargs(scheduler, num_frames)
        prompt_embeds = self.guidance.expand_prompt(self.prompt_embeds, num_frames)
        conditions = self.guidance.expand_image_latents(image_latents)
        latents: Tensor = (
            self.noise.initial.expand(num_frames, -1, -1, -1) * scheduler.init_noise_sigma
        )
        state = AnchorPass(self.cache, self.backend, num_groups, writing)
        with anchor_attention(self.unet, state):
            for state.step, timestep in enumerate(scheduler.timesteps):
                if not writing:
                    self.cache.begin_step(state.step)
                rows = scheduler.scale_model_input(self.guidance.expand_latents(latents), timestep)
                rows = torch.cat([rows, conditions], dim=1)
                noise_pred = self.guidance.combine(self._predict(rows, timestep, prompt_embeds))
                latents = scheduler.step(noise_pred, timestep, latents, **step_kwargs).prev_sample
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
