"""Prompt embeddings in branch order."""

from __future__ import annotations

import pytest
import torch
from transformers import CLIPTokenizer

from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.prompt import encode_instruction
from fairy.editors.unread_words import read_words
from fairy.errors import InstructionError
from fairy.models.sources import MINI


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


def test_words_that_the_encoder_has_no_room_for_are_named(tiny_pipeline, caplog):
    words = [f"w{number}" for number in range(tiny_pipeline.tokenizer.model_max_length)]

    def not_read(words: list[str]) -> list[str]:
        caplog.clear()
        encode_instruction(tiny_pipeline, " ".join(words), "", Guidance(1, 1))
        ours = [record for record in caplog.records if record.name.startswith("fairy")]
        return ours[0].getMessage().split("; not read: ")[1].split() if ours else []

    lost = not_read(words)
    assert lost and words[-len(lost) :] == lost
    # As much is read as fits
    num_read = len(words) - len(lost)
    assert not_read(words[:num_read]) == []
    assert not_read(words[: num_read + 1]) == lost[:1]


def test_mini_says_what_it_does_not_read(caplog):
    tokenizer = CLIPTokenizer.from_pretrained(MINI / "tokenizer")
    assert read_words(tokenizer, "make it snow", tokenizer.model_max_length) == "make it snow"
    assert not caplog.records
    read_words(tokenizer, "make it snow " * 8, tokenizer.model_max_length)
    assert "not read: " in caplog.text


def test_a_text_as_long_as_a_book_is_cut_at_once():
    calls = []

    class Words:
        def __call__(self, text: str, *, verbose: bool) -> dict[str, list[str]]:
            calls.append(text)
            return {"input_ids": text.split()}

    assert read_words(Words(), "word " * 100_000, 77).split() == ["word"] * 77
    assert len(calls) < 30
