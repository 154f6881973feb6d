"""Words that a stock pipeline does not read are said, and no call fails by them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairy.editors.base import Anchor
from fairy.editors.stock.editor import StockEditor
from fairy.editors.stock.families import FAMILIES
from fairy.settings import EditConfig
from tests.editors.stock.conftest import SIZE

# Every letter is a token of the tiny models, or every byte
WORDS = [f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]


def begun(editor: StockEditor, frames, prompt: str) -> str:
    """Begin an edit, and return the instruction that the pipeline gets."""
    config = EditConfig(num_inference_steps=1)
    with editor.begin(prompt, [Anchor(0, frames[0])], config, size=SIZE) as session:
        return session._call.prompt


@pytest.mark.parametrize("family", ["sdxl", "controlnet"])
def test_words_beyond_those_of_clip_are_said(make_editor, frames, family: str, caplog):
    read = begun(make_editor(family), frames, " ".join(WORDS)).split()
    assert 0 < len(read) < len(WORDS)
    assert read == WORDS[: len(read)]
    tokens = make_editor(family).pipe.tokenizer.model_max_length
    expected = f"the model reads {tokens} tokens; not read: {' '.join(WORDS[len(read) :])}"
    assert [one.getMessage() for one in caplog.records if one.name.startswith("fairy")] == [
        expected
    ]


@pytest.mark.parametrize("family", ["kontext", "klein", "flux2", "longcat", "fibo"])
def test_words_beyond_those_of_other_text_encoders_are_said(
    make_editor, frames, family: str, caplog
):
    made = make_editor(family)
    assert made.family.text_tokens is not None
    editor = StockEditor(made.pipe)
    editor.family = replace(made.family, text_tokens=40)
    read = editor.family.read_words(editor.pipe, " ".join(WORDS)).split()
    assert 0 < len(read) < len(WORDS)
    assert f"not read: {' '.join(WORDS[len(read) :])}" in caplog.text


def test_longcat_takes_an_instruction_of_any_length(make_editor, frames, caplog):
    assert len(begun(make_editor("longcat"), frames, "snow " * 600).split()) < 600
    assert "the model reads 512 tokens; not read: snow" in caplog.text


def test_what_fits_stays_as_it_is(make_editor, frames, caplog):
    assert begun(make_editor("sdxl"), frames, "make  snow") == "make  snow"
    assert "not read" not in caplog.text


def test_only_families_whose_pipelines_read_all_have_no_limit():
    unlimited = {name for name, family in FAMILIES.items() if family.text_tokens is None}
    assert unlimited == {"QwenImageEditPipeline", "QwenImageEditPlusPipeline", "OmniGenPipeline"}
