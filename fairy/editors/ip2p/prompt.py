"""Instruction -> prompt_embeds (G,L,D) in branch order [text, negative, negative].

diffusers encodes it, textual inversion and LoRA included.
Tests: tests/editors/ip2p/test_prompt.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fairy.editors.ip2p.guidance import Guidance
from fairy.errors import InstructionError

if TYPE_CHECKING:
    from diffusers import StableDiffusionInstructPix2PixPipeline


@torch.no_grad()
def encode_instruction(
    pipe: StableDiffusionInstructPix2PixPipeline,
    prompt: str,
    negative_prompt: str,
    guidance: Guidance,
) -> Tensor:
    """Return prompt_embeds (G,L,D), one row per guidance branch.

    Raises:
        InstructionError: an empty instruction.
    """
    if not prompt.strip():
        raise InstructionError(
            'the instruction is empty: say what to change, as in "make it night"'
        )
    embeds: Tensor = pipe._encode_prompt(
        prompt, pipe._execution_device, 1, guidance.enabled, negative_prompt
    )
    return embeds[: guidance.num_groups]
