"""What people type is read as what the model knows, or refused in one line that helps."""

from __future__ import annotations

import logging

import pytest

import fairy.models.instructions
from fairy.errors import InstructionError
from fairy.models.defaults import ModelDefaults, edits_by_likeness, model_defaults
from fairy.models.instructions import (
    nearest_instructions,
    read_instruction,
    split_edits,
    with_known_words,
)
from fairy.models.sources import MINI
from fairy.models.synonyms import RELATED

DEFAULTS = model_defaults(MINI)


def read(text: str) -> tuple[str, ...]:
    return read_instruction(text, DEFAULTS)


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("make it night", "make it night"),
        ("grayscale", "grayscale"),
        ("make it gray", "make it gray"),
        ("make it grey scale", "make it greyscale"),
        ("B&W", "black and white"),
        ("snowing", "snow"),
        ("make it snows", "make it snow"),
        ("winter scene", "winter scene"),
        ("make it foggier", "make it fog"),
        ("cartoonish", "cartoon"),
        ("8-bit", "pixel art"),
        ("pencl sketch", "pencil sketch"),
        ("make it nigth", "make it night"),
        ("blureprint", "blueprint"),
        ("Make It Night!!", "make it night"),
        ("no circle", "no circle"),
        ("show it without colour", "show it without colour"),
        ("make it black and white", "make it black and white"),
        ("reduce the video to two colors", "reduce the video to two colors"),
    ],
)
def test_forms_synonyms_and_typing_errors_are_mapped(typed: str, given: str):
    assert [text.lower().strip("!") for text in read(typed)] == [given]


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ("make it night and snowy", ("make it night", "make it snow")),
        ("snowy night", ("make it snow", "make it night")),
        ("a pencil sketch in sepia", ("make it a pencil sketch", "make it sepia")),
        ("make it night, then add fog", ("make it night", "add fog")),
        (
            "turn the circle into a star and make it night",
            ("turn the circle into a star", "make it night"),
        ),
    ],
)
def test_two_edits_in_one_become_two_and_that_is_said(
    typed: str, given: tuple[str, ...], caplog: pytest.LogCaptureFixture
):
    assert read(typed) == given
    assert f"is done as {given[0]!r}, then {given[1]!r}" in caplog.text


def test_what_is_read_otherwise_is_said(caplog: pytest.LogCaptureFixture):
    read("make it nigth")
    assert caplog.messages == ["'make it nigth' is read as 'make it night'"]


@pytest.mark.parametrize("typed", ["make it", "the", "please change the video", "!?"])
def test_nothing_to_change_is_said(typed: str):
    with pytest.raises(InstructionError, match="says nothing to change: say what, as in"):
        read_instruction(typed, DEFAULTS, force=True)


@pytest.mark.parametrize(
    "typed", ["do not make it night", "don't make it night", "don’t make it night", "no snow"]
)
def test_what_not_to_do_is_refused(typed: str):
    with pytest.raises(InstructionError, match="says what not to do"):
        read(typed)


@pytest.mark.parametrize(
    "typed", ["van gogh", "make it rain", "a wolf in the snow", "make it gold"]
)
def test_unknown_words_are_refused_with_near_edits(typed: str):
    with pytest.raises(InstructionError, match=r"does not know .*did you mean") as error:
        read(typed)
    message = str(error.value)
    assert 2 <= message.count('"') <= 6
    assert "`fairy models mini` lists all; force=True tries anyway" in message
    assert len(message) < 250
    assert read_instruction(typed, DEFAULTS, force=True) == (typed,)


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("in the style of van gogh", "paint it by numbers"),
        ("a charcoal drawing", "make it a pencil sketch"),
        ("let it rain", "add fog"),
        ("make it lego", "make it pixel art"),
        ("like in the matrix", "make it neon"),
    ],
)
def test_suggestions_are_near_by_meaning(typed: str, nearest: str):
    assert nearest_instructions(typed, DEFAULTS)[0] == nearest


@pytest.mark.parametrize("typed", ["add a hat", "put sunglasses on her", "make it xyzzy"])
def test_nothing_near_is_said_with_what_there_is(typed: str):
    with pytest.raises(InstructionError, match=r"nothing it can do is like that.* night,") as error:
        read(typed)
    assert "did you mean" not in str(error.value)


def test_related_words_are_unknown_and_their_edits_exist():
    names = {edit.name for edit in DEFAULTS.edits}
    for word, edits in RELATED.items():
        assert names.issuperset(edits)
        assert word not in DEFAULTS.words, word


def test_the_nearest_edit_is_named_first():
    with pytest.raises(InstructionError, match='did you mean "make it snow"'):
        read("a wolf in the snow")


def test_no_training_phrase_is_changed(caplog: pytest.LogCaptureFixture):
    words = {"{it}": "the video", "{shape}": "circle", "{other}": "star", "{colour}": "red"}
    for edit in DEFAULTS.edits:
        for template in edit.phrases:
            phrase = template
            for name, word in words.items():
                phrase = phrase.replace(name, word)
            assert read(phrase) == (phrase,)
    assert caplog.records == []


def test_a_model_of_all_language_gets_the_text_as_it_is(caplog: pytest.LogCaptureFixture):
    text = "Do not make it a snowy van gogh, nigth"
    assert read_instruction(text, ModelDefaults()) == (text,)
    assert caplog.records == []


def test_a_model_that_lists_words_alone_names_its_examples():
    defaults = ModelDefaults(words=frozenset({"make", "snow"}), instructions=("make it snow",))
    assert read_instruction("Make the snow!", defaults) == ("make the snow",)
    with pytest.raises(InstructionError, match="'purple'; did you mean \"make it snow\""):
        read_instruction("make purple snow", defaults)


def test_another_word_is_not_taken_for_a_typing_error():
    assert with_known_words("gold fight cat", frozenset({"cold", "night", "car"})) == (
        "gold fight cat"
    )


def test_reading_quietly_logs_nothing(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        read_instruction("nigth", DEFAULTS, quiet=True)
    assert caplog.records == []


@pytest.mark.parametrize("text", ["make it night " * 3000, "snow and " * 3000, "it night " * 20])
def test_a_text_as_long_as_a_book_is_answered_at_once(text: str, monkeypatch):
    asked = []

    def likeness(text: str, edits: object) -> list[object]:
        asked.append(text)
        return edits_by_likeness(text, edits)

    monkeypatch.setattr(fairy.models.instructions, "edits_by_likeness", likeness)
    assert len(split_edits(text, DEFAULTS.edits)) >= 1
    assert len(asked) < 700


def test_of_many_unknown_words_the_first_are_named():
    text = " ".join(f"elephant{number}" for number in range(100))
    with pytest.raises(InstructionError, match=r"'elephant3' and 96 more words; ") as refused:
        read_instruction(text, DEFAULTS)
    assert len(str(refused.value)) < 500
