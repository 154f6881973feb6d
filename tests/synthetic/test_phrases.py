"""fairy/synthetic/phrases.py."""

from __future__ import annotations

import pytest
import torch

from fairy.synthetic.edits import EDITS
from fairy.synthetic.phrase_table import PHRASES
from fairy.synthetic.phrases import (
    all_phrases,
    known_instruction,
    known_words,
    phrase,
    training_templates,
    us_spelling,
)


def test_every_edit_has_phrasings() -> None:
    assert {edit.name for edit in EDITS} == set(PHRASES)


@pytest.mark.parametrize("name", PHRASES)
def test_ten_to_train_on_and_others_to_test(name: str) -> None:
    train, test = PHRASES[name]
    assert len(set(train)) >= 10
    assert test
    assert not set(train) & set(test)


def test_test_phrasings_use_known_words_only() -> None:
    fill = {"it": "it", "shape": "circle", "other": "star", "colour": "red"}
    words = {word for _, test in PHRASES.values() for text in test for word in text.split()}
    plain = {word.format(**fill) for word in words}
    assert plain <= set(known_words())


def test_both_spellings_are_drawn_and_known() -> None:
    generator = torch.Generator().manual_seed(0)
    words = {w for _ in range(100) for w in phrase("grey_background", "train", generator).split()}
    assert {"grey", "gray"} <= words <= set(known_words())
    assert us_spelling("colourful greyscale") == "colorful grayscale"


def test_splits_are_kept_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = {phrase("remove", "test", generator, shape="ring") for _ in range(50)}
    assert not any("delete" in text for text in drawn)


def test_templates_have_both_spellings_and_keep_their_fields() -> None:
    templates = training_templates("recolour")
    assert set(PHRASES["recolour"][0]) <= set(templates)
    assert "change the color of the {shape} to {colour}" in templates
    assert not any("{color}" in text for text in templates)


def test_known_instructions_are_training_phrasings() -> None:
    assert {known_instruction(name) for name in PHRASES} <= set(all_phrases())
