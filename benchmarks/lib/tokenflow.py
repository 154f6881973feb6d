"""Reproduce TokenFlow's amount of work as its sequence of UNet calls, without its pictures.

After Geyer et al., "TokenFlow: Consistent Diffusion Features for Consistent Video Editing" (2023),
with the settings of its public code. Every frame is inverted by DDIM (one branch, `inversion_steps`
steps). Then every sampling step makes one pass over the pivots, which are one frame of each batch,
with attention over all of them, and one pass over every batch, in which self-attention reads the
outputs of the nearest tokens of the two neighbouring pivots instead. Both passes have three
branches [source, unconditional, text]. With an InstructPix2Pix UNet the calls have the same number
of rows and tokens; conditions and injected features cost almost nothing and are left out.
Tests: tests/benchmarks/lib/test_tokenflow.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMInverseScheduler, DDIMScheduler
from diffusers.models.attention_processor import Attention
from torch import Tensor

from benchmarks.lib.seconds import Seconds
from benchmarks.lib.ways import JointAttnProcessor, self_attention_by
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.latents import decode_latents, encode_images
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.ip2p.prompt import encode_instruction

NUM_GROUPS = 3
# `batch_size` and `n_inversion_steps` of its configs/config_pnp.yaml
FRAMES_AT_ONCE = 8
INVERSION_STEPS = 50


@dataclass
class Propagation:
    """The current pass, shared by the processors of all layers.

    Attributes:
        pivots: indices of the two pivots that a batch reads; None in the pivots' pass.
    """

    pivots: tuple[int, int] | None = None


@dataclass
class TokenFlowAttnProcessor(JointAttnProcessor):
    """Self-attention over all pivots, or the pivots' outputs for a batch."""

    state: Propagation = field(default_factory=Propagation)
    seen: Tensor = field(default_factory=lambda: torch.empty(0))
    out: Tensor = field(default_factory=lambda: torch.empty(0))

    def __post_init__(self) -> None:
        super().__init__(NUM_GROUPS)

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the layer's output (B,N,C), B = 3*F."""
        if self.state.pivots is None:
            self.out = super().__call__(attn, hidden_states).unflatten(0, (NUM_GROUPS, -1))
            # The source branch determines which tokens match
            self.seen = hidden_states.unflatten(0, (NUM_GROUPS, -1))[0]
            return self.out.flatten(0, 1)
        source = hidden_states.unflatten(0, (NUM_GROUPS, -1))[0]
        carried = [self._carried(source, pivot) for pivot in self.state.pivots]
        return torch.lerp(*carried, 0.5).flatten(0, 1)

    def _carried(self, source: Tensor, pivot: int) -> Tensor:
        """Return for each token of source (F,N,C) the pivot's output at the nearest: (3,F,N,C)."""
        tokens, keys = F.normalize(source, dim=-1), F.normalize(self.seen[pivot], dim=-1)
        nearest = (tokens @ keys.T).argmax(-1)
        return self.out[:, pivot][:, nearest]


@torch.no_grad()
def tokenflow_seconds(
    pipe: FairyPipeline,
    frames: Tensor,
    instruction: str,
    *,
    num_inference_steps: int,
    inversion_steps: int = INVERSION_STEPS,
    timed_inversion_steps: int = 2,
) -> Seconds:
    """Return the seconds of the whole schedule for frames (T,3,H,W) in [0,1].

    All inversion steps do the same work, so only `timed_inversion_steps` of them run, and their
    time is scaled to `inversion_steps`.
    """
    began = _now(pipe)
    work = Schedule(pipe, frames, instruction)
    encoded = _now(pipe)
    work.invert(min(timed_inversion_steps, inversion_steps))
    inverted = _now(pipe)
    work.sample(num_inference_steps)
    ended = _now(pipe)
    factor = inversion_steps / min(timed_inversion_steps, inversion_steps)
    rest = (encoded - began).and_then(ended - inverted)
    return (inverted - encoded).times(factor).and_then(rest)


class Schedule:
    """The passes over one clip; latents (T,C,h,w) are carried from pass to pass.

    Args:
        pipe: the model.
        frames: (T,3,H,W) in [0,1].
        instruction: the text.
    """

    def __init__(self, pipe: FairyPipeline, frames: Tensor, instruction: str) -> None:
        self._pipe, self._unet = pipe, pipe.unet
        # Three branches' worth of text, whatever the model's own guidance
        self._text = encode_instruction(pipe, instruction, "", Guidance(2.0, 2.0))
        images = (frames * 2 - 1).to(pipe.device)
        parts = images.split(FRAMES_AT_ONCE)
        self._conditions = torch.cat([encode_images(pipe.vae, part) for part in parts])
        self.latents = self._conditions * pipe.vae.config.scaling_factor
        self.num_calls: dict[int, int] = {}

    def invert(self, num_steps: int) -> None:
        """Run `num_steps` steps of DDIM inversion over all frames, one branch."""
        scheduler = DDIMInverseScheduler.from_config(self._pipe.scheduler.config)
        scheduler.set_timesteps(INVERSION_STEPS, device=self.latents.device)
        for timestep in scheduler.timesteps[:num_steps]:
            for rows in self._batches():
                noise_pred = self._predict(self.latents[rows], rows, timestep, self._text[-1:])
                step = scheduler.step(noise_pred, timestep, self.latents[rows])
                self.latents[rows] = step.prev_sample

    def sample(self, num_steps: int) -> None:
        """Run all sampling steps: the pivots, then every batch; decode the results."""
        scheduler = DDIMScheduler.from_config(self._pipe.scheduler.config)
        scheduler.set_timesteps(num_steps, device=self.latents.device)
        state, batches = Propagation(), list(self._batches())
        with self_attention_by(self._unet, lambda: TokenFlowAttnProcessor(state=state)):
            for timestep in scheduler.timesteps:
                state.pivots = None
                self._guided([rows[len(rows) // 2] for rows in batches], timestep)
                for number, rows in enumerate(batches):
                    state.pivots = (max(0, number - 1), number)
                    noise_pred = self._guided(rows, timestep)
                    step = scheduler.step(noise_pred, timestep, self.latents[rows])
                    self.latents[rows] = step.prev_sample
        for rows in batches:
            decode_latents(self._pipe.vae, self.latents[rows]).cpu()

    def _batches(self) -> list[list[int]]:
        indices = list(range(len(self.latents)))
        return [indices[i : i + FRAMES_AT_ONCE] for i in range(0, len(indices), FRAMES_AT_ONCE)]

    def _guided(self, rows: list[int], timestep: Tensor) -> Tensor:
        """Return the guided prediction (F,C,h,w) of three branches."""
        noise_pred = self._predict(self.latents[rows], rows, timestep, self._text)
        _, uncond, text = noise_pred.chunk(NUM_GROUPS)
        return uncond + self._pipe.defaults.guidance_scale * (text - uncond)

    def _predict(self, latents: Tensor, rows: list[int], timestep: Tensor, text: Tensor) -> Tensor:
        """Return the UNet's prediction (G*F,C,h,w) for latents (F,C,h,w), one branch per text."""
        both = torch.cat([latents, self._conditions[rows]], dim=1).repeat(len(text), 1, 1, 1)
        self.num_calls[len(both)] = self.num_calls.get(len(both), 0) + 1
        prompt_embeds = text.repeat_interleave(len(rows), dim=0)
        noise_pred: Tensor = self._unet(
            both.to(text.dtype), timestep, encoder_hidden_states=prompt_embeds, return_dict=False
        )[0]
        return noise_pred


def _now(pipe: FairyPipeline) -> Seconds:
    if pipe.device.type == "cuda":
        torch.cuda.synchronize(pipe.device)
    return Seconds.now()
