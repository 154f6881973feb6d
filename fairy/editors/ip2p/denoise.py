"""The denoising loop: all steps for the anchors, then for each frame batch. It loads no models.

image_latents (F,C,h,w) -> latents (F,C,h,w). The UNet's input is rows (G*F,2C,h,w), group-major.
Tests: tests/editors/ip2p/test_denoise.py.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from fairy.anchors.attention import AnchorPass, anchor_attention
from fairy.anchors.backends import Backend
from fairy.anchors.cache import AnchorCache
from fairy.editors.compute import not_compiled
from fairy.editors.finite import FiniteSteps, numbers_error
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.held import Held, hold, near_source
from fairy.editors.ip2p.latents import ClipNoise, avoid_single_row
from fairy.editors.ip2p.levers.base import Lever, Step
from fairy.editors.ip2p.levers.shared_branches import shared_branches
from fairy.models.base import retrieve_timesteps

StepCallback = Callable[[int, Tensor, dict[str, Tensor]], dict[str, Tensor]]
"""(step, timestep, tensors by name) -> those to replace: "latents" (F,C,h,w), "prompt_embeds"
(G*F,L,D), "image_latents" (G*F,C,h,w)."""


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """Everything that is the same for all frames of a shot.

    Attributes:
        unet: the model.
        scheduler: a diffusers scheduler; copied for every pass, because schedulers hold state.
        num_inference_steps: denoising steps.
        prompt_embeds: (G,L,D), one row per guidance branch.
        guidance: how branches are made and combined.
        noise: the clip's noise.
        backend: how attention is computed.
        cache: filled by `edit_anchors`, read by `edit_frames`.
        timesteps: replace the scheduler's own, as in diffusers.
        sigmas: likewise.
        eta: noise of DDIM; other schedulers ignore it.
        cross_attention_kwargs: as in diffusers, such as {"scale": 0.5} for a LoRA.
        image_embeds: (G,P,D) for each IP-Adapter, of P reference pictures.
        strength: how far the edit may move from the source, 0 to 1.
        latent_scale: scale of the latents relative to image_latents.
        levers: modify the steps, in this order.
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
    timesteps: Sequence[int] | None = None
    sigmas: Sequence[float] | None = None
    eta: float = 0.0
    cross_attention_kwargs: dict[str, Any] | None = None
    image_embeds: tuple[Tensor, ...] = ()
    strength: float = 1.0
    latent_scale: float = 1.0
    levers: tuple[Lever, ...] = ()
    on_step_end: StepCallback | None = None

    @torch.no_grad()
    def edit_anchors(self, image_latents: Tensor, held: Sequence[Held] = ()) -> Tensor:
        """Edit all anchors together; return their latents (A,C,h,w) and fill the cache."""
        with not_compiled():
            return self._denoise(image_latents, held, writing=True)

    @torch.no_grad()
    def edit_frames(self, image_latents: Tensor, held: Sequence[Held] = ()) -> Tensor:
        """Edit frames that are not anchors with the cache; return their latents (F,C,h,w)."""
        num_frames = image_latents.shape[0]
        if self.guidance.num_groups == 1 or any(lever.drops_branches for lever in self.levers):
            image_latents = avoid_single_row(image_latents)
        held = [one.rows(len(image_latents)) for one in held]
        return self._denoise(image_latents, held, writing=False)[:num_frames]

    def _denoise(self, image_latents: Tensor, held: Sequence[Held], *, writing: bool) -> Tensor:
        """Run all steps for image_latents (F,C,h,w)."""
        num_frames = image_latents.shape[0]
        scheduler = copy.deepcopy(self.scheduler)
        retrieve_timesteps(
            scheduler,
            self.num_inference_steps,
            image_latents.device,
            None if self.timesteps is None else list(self.timesteps),
            None if self.sigmas is None else list(self.sigmas),
        )
        step_kwargs = self._step_kwargs(scheduler, num_frames)
        num_steps = len(scheduler.timesteps)
        latents: Tensor = (
            self.noise.initial.expand(num_frames, -1, -1, -1) * scheduler.init_noise_sigma
        )
        noise, source = self.noise.initial, image_latents * self.latent_scale
        latents = hold(held, latents, 0, scheduler, noise)
        # One row for each branch and frame, (G*F,...)
        prompt_embeds = self.guidance.expand_prompt(self.prompt_embeds, num_frames)
        conditions = self.guidance.expand_image_latents(image_latents)
        finite = FiniteSteps()
        state = AnchorPass(self.cache, self.backend, num_frames, writing)
        with (
            anchor_attention(self.unet, state),
            shared_branches(self.unet, state),
            _on(self.levers),
        ):
            for index, timestep in enumerate(scheduler.timesteps):
                step = Step(index, num_steps, self.guidance)
                for lever in self.levers:
                    step = lever.at_step(step)
                state.begin_step(index)
                rows = scheduler.scale_model_input(step.guidance.expand_latents(latents), timestep)
                # If a step has fewer branches, they are the first ones
                rows = torch.cat([rows, conditions[: len(rows)]], dim=1)
                predicted = self._predict(rows, timestep, prompt_embeds[: len(rows)], num_frames)
                noise_pred = step.guidance.combine(predicted)
                if self.strength < 1:
                    noise_pred = near_source(
                        noise_pred, source, latents, timestep, scheduler, self.strength
                    )
                latents = scheduler.step(noise_pred, timestep, latents, **step_kwargs).prev_sample
                finite.add(latents)
                latents = hold(held, latents, index + 1, scheduler, noise)
                if self.on_step_end is not None:
                    tensors = {
                        "latents": latents,
                        "prompt_embeds": prompt_embeds,
                        "image_latents": conditions,
                    }
                    tensors |= self.on_step_end(index, timestep, tensors)
                    latents, prompt_embeds, conditions = tensors.values()
        self.cache.end_pass()
        if (bad := finite.first_bad()) is not None:
            what = "anchors" if writing else "frames"
            where = f"step {bad + 1} of {num_steps} of the {what}"
            raise numbers_error(where, {"unet": self.unet}, self.guidance.guidance_scale)
        return latents

    def _predict(
        self, rows: Tensor, timestep: Tensor, prompt_embeds: Tensor, num_frames: int
    ) -> Tensor:
        """Return the UNet's prediction (G*F,C,h,w) for rows (G*F,2C,h,w)."""
        pictures = [one.repeat_interleave(num_frames, dim=0) for one in self.image_embeds]
        noise_pred: Tensor = self.unet(
            rows,
            timestep,
            encoder_hidden_states=prompt_embeds,
            cross_attention_kwargs=self.cross_attention_kwargs,
            added_cond_kwargs={"image_embeds": [one[: len(rows)] for one in pictures]},
            return_dict=False,
        )[0]
        return noise_pred

    def _step_kwargs(self, scheduler: Any, num_frames: int) -> dict[str, Any]:
        """Return the extra arguments that this scheduler's `step` accepts."""
        offered = {"eta": self.eta, "generator": self.noise.generators(num_frames)}
        taken = inspect.signature(scheduler.step).parameters
        return {name: value for name, value in offered.items() if name in taken}


def _on(levers: tuple[Lever, ...]) -> ExitStack:
    with ExitStack() as stack:
        for lever in levers:
            stack.enter_context(lever)
        return stack.pop_all()
