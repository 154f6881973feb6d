"""Instruction -> prompt_embeds (G,L,D) in branch order [text, negative, negative].

diffusers encodes it, textual inversion and LoRA included; what is longer than CLIP reads is
encoded in parts (`fairy.editors.ip2p.long_prompt`).
Tests: tests/editors/ip2p/test_prompt.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fairy.editors.finite import check_finite
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.long_prompt import encode_in_parts, is_read_in_parts
from fairy.editors.unread_words import read_words
from fairy.errors import InstructionError

if TYPE_CHECKING:
    from diffusers import StableDiffusionInstructPix2PixPipeline


@torch.no_grad()
def encode_instruction(
    pipe: StableDiffusionInstructPix2PixPipeline,
    prompt: str,
    negative_prompt: str,
    guidance: Guidance,
    *,
    prompt_embeds: Tensor | None = None,
    negative_prompt_embeds: Tensor | None = None,
) -> Tensor:
    """Return prompt_embeds (G,L,D), one row per guidance branch.

    Args:
        pipe: the model.
        prompt: the instruction.
        negative_prompt: what the result should not look like.
        guidance: its branches.
        prompt_embeds: (1,L,D), in place of `prompt`.
        negative_prompt_embeds: (1,L,D), in place of `negative_prompt`.

    Raises:
        InstructionError: an empty instruction.
    """
    if prompt_embeds is None and not prompt.strip():
        raise InstructionError(
            'the instruction is empty: say what to change, as in "make it night"'
        )
    is_text = prompt_embeds is None and negative_prompt_embeds is None
    if is_text and is_read_in_parts(pipe, prompt, negative_prompt):
        prompt_embeds, negative_prompt_embeds = encode_in_parts(pipe, (prompt, negative_prompt))
    embeds: Tensor = pipe._encode_prompt(
        prompt if prompt_embeds is None else None,
        pipe._execution_device,
        1,
        guidance.enabled,
        negative_prompt,
        prompt_embeds=prompt_embeds,
        negative_prompt_embeds=negative_prompt_embeds,
    )
    check_finite(embeds, "encoding the instruction", {"text_encoder": pipe.text_encoder})
    if prompt_embeds is None:
        read_words(pipe.tokenizer, prompt, pipe.tokenizer.model_max_length)
    return embeds[: guidance.num_groups]
