"""Prompt embeddings in branch order."""

from __future__ import annotations

import pytest
import torch

from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.prompt import encode_instruction
from fairy.errors import InstructionError


@torch.no_grad()
def test_order_is_text_negative_negative(tiny_pipeline):
    text = encode_instruction(tiny_pipeline, "make it red", "", Guidance(1, 1))
    negative = encode_instruction(tiny_pipeline, "bad", "", Guidance(1, 1))
    embeds = encode_instruction(tiny_pipeline, "make it red", "bad", Guidance(2, 3))
    assert torch.allclose(embeds, torch.cat([text, negative, negative]), atol=1e-5)


@pytest.mark.parametrize("instruction", ["", "  "])
def test_empty_instruction_is_refused(tiny_pipeline, instruction):
    with pytest.raises(InstructionError, match="empty"):
        encode_instruction(tiny_pipeline, instruction, "", Guidance(1, 1))
