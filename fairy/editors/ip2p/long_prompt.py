"""Instructions longer than CLIP reads, in parts: each is encoded alone, and all are attended to.

CLIP reads 77 tokens, two of which mark begin and end. A longer text is split into parts of 75
tokens; their embeddings (1,77,D) are joined to (1,77*P,D), as most programs for Stable Diffusion
do. Weights of words are not read. Tests: tests/editors/ip2p/test_long_prompt.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from diffusers import StableDiffusionInstructPix2PixPipeline

# Of the text encoders of Stable Diffusion. A model with another length was trained with it alone
CLIP_TOKENS = 77


def is_read_in_parts(pipe: StableDiffusionInstructPix2PixPipeline, *texts: str) -> bool:
    """Return whether a text is longer than the model's CLIP reads, and can be split."""
    if pipe.tokenizer.model_max_length != CLIP_TOKENS:
        return False
    return any(len(_token_ids(pipe, text)) > CLIP_TOKENS - 2 for text in texts)


def encode_in_parts(
    pipe: StableDiffusionInstructPix2PixPipeline, texts: Sequence[str]
) -> list[Tensor]:
    """Return the embeddings (1,77*P,D) of each text; the longest needs P parts."""
    room = CLIP_TOKENS - 2
    all_ids = [_token_ids(pipe, text) for text in texts]
    num_parts = max(1, *(-(-len(ids) // room) for ids in all_ids))
    return [
        torch.cat([_encode(pipe, ids[room * n : room * (n + 1)]) for n in range(num_parts)], dim=1)
        for ids in all_ids
    ]


def _token_ids(pipe: StableDiffusionInstructPix2PixPipeline, text: str) -> list[int]:
    """Return the tokens of a text, words of a textual inversion included, without marks."""
    text = pipe.maybe_convert_prompt(text, pipe.tokenizer)
    ids: list[int] = pipe.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def _encode(pipe: StableDiffusionInstructPix2PixPipeline, ids: Sequence[int]) -> Tensor:
    """Return the embeddings (1,77,D) of at most 75 tokens, marked and padded as CLIP expects."""
    tokenizer, encoder = pipe.tokenizer, pipe.text_encoder
    marked = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
    padding = [tokenizer.pad_token_id] * (CLIP_TOKENS - len(marked))
    tokens = torch.tensor([marked + padding], device=pipe._execution_device)
    mask = None
    if getattr(encoder.config, "use_attention_mask", False):
        mask = (torch.arange(CLIP_TOKENS, device=tokens.device) < len(marked)).long()[None]
    embeds: Tensor = encoder(tokens, attention_mask=mask)[0]
    return embeds
