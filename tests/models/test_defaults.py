"""fairy.json beside a model, and the words a model knows."""

from __future__ import annotations

import json

import pytest

from fairy.errors import ModelError
from fairy.models.defaults import (
    FILLED,
    KnownEdit,
    ModelDefaults,
    model_defaults,
    nearest_edit,
    save_defaults,
    unknown_words,
)
from fairy.options import options_of
from fairy.settings import EditConfig, Sampling
from fairy.synthetic.phrase_table import PHRASES


def write(folder, text: str):
    (folder / "fairy.json").write_text(text)
    return folder


def test_folder_without_the_file_has_the_defaults_of_sd(tmp_path):
    assert model_defaults(tmp_path) == ModelDefaults()


def test_entries_are_read_and_the_models_own_scheduler_stays(tmp_path):
    entries = {"size": 256, "guidance_scale": 1.0, "instructions": ["Make it night"]}
    found = model_defaults(write(tmp_path, json.dumps(entries)))
    assert (found.size, found.guidance_scale) == (256, 1.0)
    assert found.instructions == ("Make it night",)
    assert found.scheduler is None


def test_only_settings_that_are_none_are_filled():
    defaults = ModelDefaults(size=96, num_inference_steps=4, guidance_scale=1.5)
    filled = defaults.fill(EditConfig(guidance_scale=0.0, seed=7))
    assert filled == EditConfig(
        size=96, num_inference_steps=4, guidance_scale=0.0, image_guidance_scale=1.5, seed=7
    )
    assert defaults.fill(filled) == filled


def test_every_setting_that_is_unset_as_the_models_is_filled():
    of_the_model = {
        field.name for field in options_of(Sampling) if field.option.unset == "the model's"
    }
    assert set(FILLED) == of_the_model


@pytest.mark.parametrize(
    "text",
    [
        *("{", '{"sizes": 3}', '{"size": "big"}', '{"size": 8}', '{"guidance_scale": -1}', "[]"),
        '{"edits": [{"name": "a"}]}',
        '{"edits": [{"name": "a", "instruction": "b", "steps": 0}]}',
    ],
)
def test_damaged_file_is_named(tmp_path, text):
    with pytest.raises(ModelError, match=r"fairy\.json"):
        model_defaults(write(tmp_path, text))


def test_edits_survive_saving(tmp_path):
    edit = KnownEdit(name="night", instruction="make it night", steps=2, phrases=("dark {it}",))
    defaults = ModelDefaults(scheduler=None, edits=(edit,), words=frozenset({"night"}))
    save_defaults(defaults, tmp_path)
    assert model_defaults(tmp_path) == defaults


def test_unknown_words_are_named_once_in_order():
    defaults = ModelDefaults(words=frozenset({"make", "night"}))
    assert unknown_words("Make it a Zebra, zebra or night!", defaults) == ["zebra", "or"]


def test_model_without_a_list_knows_all_words():
    assert unknown_words("make it a zebra", ModelDefaults()) == []


LISTED = (
    KnownEdit(name="sepia", instruction="make it sepia", steps=1, phrases=("an old brown photo",)),
    KnownEdit(
        name="night", instruction="make it night", steps=2, phrases=("turn {it} into night",)
    ),
    KnownEdit(
        name="recolour",
        instruction="make the circle red",
        steps=3,
        phrases=("turn the {shape} {colour}",),
    ),
    KnownEdit(
        name="reshape",
        instruction="turn the circle into a star",
        steps=4,
        phrases=("replace the {shape} with a {other}",),
    ),
)


@pytest.mark.parametrize(
    ("instruction", "name"),
    [
        ("make it sepia", "sepia"),
        ("Sepia, please!", "sepia"),
        ("show the scene as an old photo", "sepia"),
        ("let it be night now", "night"),
        ("make the square blue", "recolour"),
        ("replace the square with a triangle", "reshape"),
    ],
)
def test_nearest_edit_shares_the_words_that_matter(instruction, name):
    assert nearest_edit(instruction, LISTED).name == name


@pytest.mark.parametrize("instruction", ["", "make it", "make it a unicorn", "play the piano"])
def test_no_edit_is_near_to_other_instructions(instruction):
    assert nearest_edit(instruction, LISTED) is None


def test_every_training_phrase_finds_its_own_edit():
    edits = tuple(
        KnownEdit(name=name, instruction=phrases[0], steps=1, phrases=phrases)
        for name, (phrases, _) in PHRASES.items()
    )
    for edit in edits:
        for phrase in edit.phrases:
            assert phrase in nearest_edit(phrase, edits).phrases


def test_steps_are_those_of_the_edit_that_is_asked_for():
    defaults = ModelDefaults(num_inference_steps=9, edits=LISTED)
    steps = [
        defaults.fill(EditConfig(num_inference_steps=given), instruction).num_inference_steps
        for given, instruction in [(None, "make it night"), (7, "make it night"), (None, "?")]
    ]
    assert steps == [2, 7, 9]
