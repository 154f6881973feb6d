"""fairy.json beside a model, and the words a model knows."""

from __future__ import annotations

import json

import pytest

from fairy.errors import ModelError
from fairy.models.defaults import ModelDefaults, model_defaults, unknown_words


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


@pytest.mark.parametrize(
    "text", ["{", '{"sizes": 3}', '{"size": "big"}', '{"size": 8}', '{"guidance_scale": -1}', "[]"]
)
def test_damaged_file_is_named(tmp_path, text):
    with pytest.raises(ModelError, match=r"fairy\.json"):
        model_defaults(write(tmp_path, text))


def test_unknown_words_are_named_once_in_order():
    defaults = ModelDefaults(words=frozenset({"make", "night"}))
    assert unknown_words("Make it a Zebra, zebra or night!", defaults) == ["zebra", "or"]


def test_model_without_a_list_knows_all_words():
    assert unknown_words("make it a zebra", ModelDefaults()) == []
