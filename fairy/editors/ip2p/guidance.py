"""Three-branch guidance of InstructPix2Pix: [text, image, uncond], group-major.

`text` gets the instruction and the image, `image` only the image, `uncond` neither (its image
latents are zero). Row g*F+f is branch g of frame f. Branches with weight 0 are not computed:
`uncond` at an `image_guidance_scale` of 1 (G = 2), and all but `text` without guidance (G = 1).
Tests: tests/editors/ip2p/test_guidance.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Guidance:
    """How strongly the result follows the instruction and the source image.

    Attributes:
        guidance_scale: weight of the instruction.
        image_guidance_scale: weight of the source image.
    """

    guidance_scale: float
    image_guidance_scale: float

    @property
    def enabled(self) -> bool:
        """Whether guidance is on, by the same condition as in diffusers' pipeline."""
        return self.guidance_scale > 1.0 and self.image_guidance_scale >= 1.0

    @property
    def num_groups(self) -> int:
        """Number of branches G that are computed: the first G of [text, image, uncond]."""
        if not self.enabled:
            return 1
        return 2 if self.image_guidance_scale == 1.0 else 3

    def expand_latents(self, latents: Tensor) -> Tensor:
        """Return latents (F,C,h,w) once per branch, (G*F,C,h,w)."""
        return torch.cat([latents] * self.num_groups)

    def expand_image_latents(self, image_latents: Tensor) -> Tensor:
        """Return image_latents (F,C,h,w) per branch, (G*F,C,h,w): zeros for `uncond`."""
        branches = [image_latents, image_latents, torch.zeros_like(image_latents)]
        return torch.cat(branches[: self.num_groups])

    def expand_prompt(self, prompt_embeds: Tensor, num_frames: int) -> Tensor:
        """Return prompt_embeds (G,L,D), one row per branch, for every row: (G*F,L,D)."""
        return prompt_embeds.repeat_interleave(num_frames, dim=0)

    def combine(self, noise_pred: Tensor) -> Tensor:
        """Combine the predictions of all branches (G*F,C,h,w) into the guided one (F,C,h,w)."""
        if self.num_groups == 1:
            return noise_pred
        text, image, *uncond = noise_pred.chunk(self.num_groups)
        guided = image + self.guidance_scale * (text - image)
        if uncond:
            guided = guided + (self.image_guidance_scale - 1) * (image - uncond[0])
        return guided
