"""Images edited each alone by diffusers' own pipeline, on a Fairy model's weights: the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import Tensor

from fairy import FairyPipeline

BATCH = 16


def edit_alone(
    pipe: FairyPipeline,
    images: Tensor,
    instructions: Sequence[str],
    seeds: Sequence[int],
    **settings: Any,
) -> Tensor:
    """Return images (B,3,H,W) in [0,1], edited without anchors; equal seeds share their noise.

    Args:
        pipe: the model, and its defaults.
        images: (B,3,H,W) in [0,1].
        instructions: B texts.
        seeds: B seeds of the noise, of all steps.
        **settings: in place of the model's defaults.
    """
    parts = {**pipe.components, "requires_safety_checker": False}
    plain = StableDiffusionInstructPix2PixPipeline(**parts)
    plain.set_progress_bar_config(disable=True)
    chosen = {
        "num_inference_steps": pipe.defaults.num_inference_steps,
        "guidance_scale": pipe.defaults.guidance_scale,
        "image_guidance_scale": pipe.defaults.image_guidance_scale,
        **settings,
    }
    outputs = []
    for start in range(0, len(images), BATCH):
        rows = slice(start, start + BATCH)
        result = plain(
            list(instructions[rows]),
            image=images[rows],
            generator=[torch.Generator().manual_seed(seed) for seed in seeds[rows]],
            output_type="pt",
            **chosen,
        )
        outputs.append(result.images.float().cpu())
    return torch.cat(outputs)
