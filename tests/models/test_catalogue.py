"""What is known of models, and what is in the hub's cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairy.models import catalogue
from fairy.models.blueprint import SD15
from fairy.models.catalogue import KNOWN, cached_models, download_command, known_model
from fairy.models.defaults import model_defaults
from fairy.models.sources import MINI


def test_the_size_of_the_download_is_that_of_its_weights():
    model = known_model("timbrooks/instruct-pix2pix")
    assert model is not None
    # The safety checker, a CLIP of 304 million weights, is downloaded too
    num_weights = sum(part.num_parameters for part in SD15.values()) + 304_000_000
    assert model.download_gb == pytest.approx(num_weights * 4 / 1e9, rel=0.05)


def test_what_is_said_of_mini_is_true():
    model, defaults = known_model("mini"), model_defaults(MINI)
    assert model is not None
    assert f"{len(defaults.edits)} edits, {defaults.size} px" in model.what
    steps = [edit.steps for edit in defaults.edits]
    assert model.steps == f"{min(steps)} to {max(steps)}"


def test_names_are_unique():
    assert len({model.name for model in KNOWN}) == len(KNOWN)


def test_an_unknown_model_has_no_size():
    assert download_command("someone/model") == "hf download someone/model"


def test_the_way_to_download_a_known_model_tells_its_size():
    name = "timbrooks/instruct-pix2pix"
    assert download_command(name) == f"hf download {name} (5.5 GB)"


def test_models_in_the_cache_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "models--someone--model" / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"12345")
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "main").write_text("0" * 40)
    scan = catalogue.scan_cache_dir
    monkeypatch.setattr(catalogue, "scan_cache_dir", lambda: scan(tmp_path))
    assert [one.name for one in cached_models()] == ["someone/model"]
    monkeypatch.setattr(catalogue, "scan_cache_dir", lambda: scan(tmp_path / "gone"))
    assert cached_models() == []
