"""Which editor a name loads, and what is refused in one line."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest

from examples.tiny_editor import make_tiny_editor
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.loading import load_editor, what_is_loaded
from fairy.editors.stock.editor import StockEditor
from fairy.errors import FairyError, ModelError, SettingsError
from fairy.options import options_of
from fairy.settings import Compute
from tests.tiny import save_tiny_pipeline


@pytest.fixture(scope="module")
def klein(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("klein")
    make_tiny_editor("klein").save_pretrained(folder)
    return str(folder)


def test_the_class_decides(klein, tmp_path):
    assert isinstance(load_editor(Compute(model=klein, device="cpu")), StockEditor)
    own = save_tiny_pipeline(tmp_path / "own")
    assert isinstance(load_editor(Compute(model=str(own), device="cpu")), FairyPipeline)


def test_every_setting_that_loading_reads_tells_editors_apart(klein, tmp_path):
    class Noted(Compute):
        read: ClassVar[set[str]] = set()

        def __getattribute__(self, name: str) -> object:
            Noted.read.add(name)
            return super().__getattribute__(name)

    own = str(save_tiny_pipeline(tmp_path / "own"))
    by_model = [Noted(model=model, device="cpu") for model in (klein, own)]
    # Making settings reads all of them
    Noted.read.clear()
    for settings in by_model:
        load_editor(settings)
    loading, blank = set(Noted.read), Noted()
    Noted.read.clear()
    what_is_loaded(blank)
    assert loading & {field.name for field in options_of(Compute)} <= Noted.read


@pytest.mark.parametrize(
    "other", [{"lora": "style.safetensors"}, {"control": "canny"}, {"quantize": "int8"}]
)
def test_settings_of_another_editor_are_told_apart(other):
    assert what_is_loaded(Compute(**other)) != what_is_loaded(Compute())
    assert what_is_loaded(Compute(backend="sdpa")) == what_is_loaded(Compute())


def test_other_commands_say_that_they_need_another_model(klein):
    with pytest.raises(ModelError, match=r"is a Flux2KleinPipeline.*InstructPix2Pix type"):
        FairyPipeline.from_pretrained(klein)


def test_defaults_are_the_family_s_and_the_folder_s(klein):
    defaults = load_editor(Compute(model=klein, device="cpu")).defaults
    # A distilled model: four steps, no guidance
    assert (defaults.num_inference_steps, defaults.guidance_scale) == (4, 1.0)


def test_fairy_json_replaces_what_it_names(klein, tmp_path):
    folder = tmp_path / "named"
    make_tiny_editor("klein").save_pretrained(folder)
    (folder / "fairy.json").write_text(json.dumps({"size": 64}))
    defaults = load_editor(Compute(model=str(folder), device="cpu")).defaults
    assert (defaults.size, defaults.num_inference_steps) == (64, 4)


def test_an_unknown_class_names_the_known_ones_and_the_page(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    with pytest.raises(ModelError, match=r"WanPipeline.*Flux2Klein.*docs/editor-families\.md"):
        load_editor(Compute(model=str(tmp_path), device="cpu"))


def test_a_class_that_diffusers_lacks_names_the_version(tmp_path, monkeypatch):
    import diffusers

    from fairy.editors.stock import families

    monkeypatch.setattr(families, "diffusers", type("old", (), {"__version__": "0.35.0"}))
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "Flux2KleinPipeline"}))
    with pytest.raises(ModelError, match=r"not in diffusers 0\.35\.0: update it"):
        load_editor(Compute(model=str(tmp_path), device="cpu"))
    assert hasattr(diffusers, "Flux2KleinPipeline")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"quantize": "nf4"}, "needs the package bitsandbytes"),
        ({"offload": "model"}, "weights are on the CPU"),
        ({"decoder": "taesd"}, "leave --decoder out"),
        ({"lora": ("nowhere.safetensors",)}, "no such file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(klein, settings, words, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else found(name)
    )
    with pytest.raises(FairyError, match=words) as caught:
        load_editor(Compute(model=klein, device="cpu", **settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["quantize", "offload"])
def test_small_models_need_neither(tmp_path, name):
    own = save_tiny_pipeline(tmp_path / "own")
    value = {"quantize": "int8", "offload": "model"}[name]
    with pytest.raises(SettingsError, match=f"{name}: this small model"):
        load_editor(Compute(model=str(own), device="cpu", **{name: value}))
