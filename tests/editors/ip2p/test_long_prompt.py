"""Instructions longer than CLIP reads are read to their end, in parts."""

from __future__ import annotations

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline

from fairy.editors.ip2p import long_prompt
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.ip2p.prompt import encode_instruction
from tests.tiny import make_frames

BRANCHES = Guidance(2, 3)


@pytest.fixture
def pipe(tiny_pipeline, monkeypatch: pytest.MonkeyPatch) -> StableDiffusionInstructPix2PixPipeline:
    """A model whose text encoder is taken for CLIP, though it reads fewer tokens."""
    monkeypatch.setattr(long_prompt, "CLIP_TOKENS", tiny_pipeline.tokenizer.model_max_length)
    return tiny_pipeline


def ids(pipe: StableDiffusionInstructPix2PixPipeline, text: str) -> list[int]:
    return pipe.tokenizer(text, add_special_tokens=False)["input_ids"]


def long_text(pipe: StableDiffusionInstructPix2PixPipeline, num_parts: int = 2) -> str:
    """Return a text that needs so many parts, the last one not full."""
    room = long_prompt.CLIP_TOKENS - 2
    text = "make it red"
    while len(ids(pipe, text)) <= room * (num_parts - 1) + 2:
        text += " red"
    return text


@torch.no_grad()
def test_each_part_is_encoded_as_diffusers_encodes_its_text_alone(pipe, caplog):
    # Words of one token each
    word, rest = "a", "a b c"
    assert [len(ids(pipe, text)) for text in (word, rest)] == [1, 3]
    parts = " ".join([word] * (long_prompt.CLIP_TOKENS - 2)), rest
    embeds = encode_instruction(pipe, " ".join(parts), "", BRANCHES)
    length = pipe.tokenizer.model_max_length
    assert embeds.shape[:2] == (3, 2 * length)
    for place, part in enumerate(parts):
        expected = encode_instruction(pipe, part, "", Guidance(1, 1))[0]
        given = embeds[0, place * length : (place + 1) * length]
        assert torch.allclose(given, expected, atol=1e-5)
    # The negative prompt, here empty, has as many parts
    nothing = encode_instruction(pipe, "x", "", BRANCHES)[1]
    for row in (1, 2):
        assert torch.allclose(embeds[row], torch.cat([nothing, nothing]), atol=1e-5)
    assert "not read" not in caplog.text


@torch.no_grad()
def test_what_fits_is_encoded_by_diffusers(pipe, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "fairy.editors.ip2p.prompt.encode_in_parts", lambda *given: pytest.fail("in parts")
    )
    embeds = encode_instruction(pipe, "make it red", "bad", BRANCHES)
    assert embeds.shape[1] == pipe.tokenizer.model_max_length


@torch.no_grad()
def test_a_long_negative_prompt_is_read_too(pipe):
    text = long_text(pipe)
    embeds = encode_instruction(pipe, "make it red", text, BRANCHES)
    expected = encode_instruction(pipe, text, "", Guidance(1, 1))[0]
    assert torch.allclose(embeds[1], expected, atol=1e-5)


def test_a_model_with_another_length_is_not_read_in_parts(tiny_pipeline):
    assert tiny_pipeline.tokenizer.model_max_length != long_prompt.CLIP_TOKENS
    assert not long_prompt.is_read_in_parts(tiny_pipeline, "red " * 500)


def test_the_last_words_change_the_result(pipe):
    editor = FairyPipeline.from_pipe(pipe)
    frames = make_frames(2, 32, 32)
    results = [
        editor(
            frames, f"{long_text(pipe, 3)} {last}", num_inference_steps=2, generator=0,
            guidance_scale=7.5, output_type="np",
        ).frames
        for last in ("red", "red", "blue")
    ]  # fmt: skip
    assert (results[0] == results[1]).all()
    assert (results[0] != results[2]).any()
