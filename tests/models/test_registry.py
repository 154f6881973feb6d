"""Models by name, and the error when there is no such model."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler, UNet2DConditionModel

from fairy.errors import ModelError, SettingsError
from fairy.models import sources
from fairy.models.registry import (
    load_pipeline,
    overflows_in_float16,
    resolve_device,
    resolve_dtype,
)
from tests.tiny import save_tiny_pipeline


def test_folder_is_loaded_with_trailing_euler_ancestral(tmp_path):
    pipe, defaults = load_pipeline(save_tiny_pipeline(tmp_path / "model"), device="cpu")
    assert isinstance(pipe.scheduler, EulerAncestralDiscreteScheduler)
    assert pipe.scheduler.config.timestep_spacing == "trailing"
    assert pipe.unet.dtype == torch.float32
    assert defaults.size == 512


def test_fairy_json_chooses_the_scheduler(tmp_path):
    pipe, _ = load_pipeline(save_tiny_pipeline(tmp_path / "model", scheduler="ddim"), device="cpu")
    assert isinstance(pipe.scheduler, DDIMScheduler)


def test_mini_is_the_bundled_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MINI", save_tiny_pipeline(tmp_path / "mini", size=32))
    assert load_pipeline("mini", device="cpu")[1].size == 32


@pytest.mark.parametrize("name", ["nothing", "./nothing", "/no/such/folder", "model.ckpt"])
def test_unknown_model_is_one_line(name):
    with pytest.raises(ModelError, match=r"^model [^\n]*$"):
        load_pipeline(name, device="cpu")


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"model_index\.json"):
        load_pipeline(tmp_path, device="cpu")


def test_hub_id_that_cannot_be_fetched_is_one_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=r"^model no-one/nothing: [^\n]*$"):
        load_pipeline("no-one/nothing", device="cpu", local_files_only=True)


def test_weights_that_are_not_safetensors_are_refused(tmp_path):
    folder = save_tiny_pipeline(tmp_path / "model")
    weights = next((folder / "unet").glob("*.safetensors"))
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelError):
        load_pipeline(folder, device="cpu")


@pytest.mark.parametrize("name", ["model.ckpt", "model.bin", "model.pt", "model.pth", "model"])
def test_pickled_file_is_refused_by_one_line(tmp_path, name):
    torch.save({}, tmp_path / name)
    with pytest.raises(ModelError, match=r"^model [^\n]*: only \.safetensors files are loaded"):
        load_pipeline(tmp_path / name, device="cpu")


def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    folder = save_tiny_pipeline(tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "unet": ["own", "Own"]}))
    (folder / "unet" / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelError, match=r"^model [^\n]*$"):
        load_pipeline(folder, device="cpu")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "unsafe", [{"use_safetensors": False}, {"trust_remote_code": True}, {"custom_pipeline": "a/b"}]
)
def test_arguments_that_undo_this_are_refused(tmp_path, unsafe):
    with pytest.raises(ValueError, match=next(iter(unsafe))):
        load_pipeline(tmp_path, device="cpu", **unsafe)


def test_use_safetensors_may_be_said(tmp_path):
    load_pipeline(save_tiny_pipeline(tmp_path / "model"), device="cpu", use_safetensors=True)


def test_model_that_sees_no_source_image_is_refused(tmp_path):
    folder = save_tiny_pipeline(tmp_path / "model")
    config = UNet2DConditionModel.load_config(folder / "unet")
    UNet2DConditionModel.from_config({**config, "in_channels": 4}).save_pretrained(folder / "unet")
    with pytest.raises(ModelError, match=r"has 4 input channels, but .* has 8"):
        load_pipeline(folder, device="cpu")


def test_device_and_dtype_by_name():
    cpu = resolve_device("cpu")
    assert resolve_dtype("auto", cpu) == torch.float32
    assert resolve_dtype("auto", torch.device("cuda")) == torch.float16
    assert resolve_dtype("bfloat16", cpu) == torch.bfloat16


def test_hub_that_cannot_be_asked_is_said(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="check the id, then hf download no-one/nothing"):
        load_pipeline("no-one/nothing", device="cpu")


# "xpu" and "meta" are devices of torch that no edit runs on
@pytest.mark.parametrize("device", ["tpu9", "quantum", "xpu", "meta", "cpu:3", "cuda:99"])
def test_device_that_is_not_here_is_refused(device):
    with pytest.raises(SettingsError, match=device):
        resolve_device(device)


@pytest.mark.parametrize(
    ("dtype", "config", "overflows"),
    [
        (torch.float16, {"scaling_factor": 0.13025, "force_upcast": True}, True),
        (torch.float16, {"scaling_factor": 0.13025}, True),
        # The version that was repaired
        (torch.float16, {"scaling_factor": 0.13025, "force_upcast": False}, False),
        (torch.float16, {"scaling_factor": 0.18215, "force_upcast": True}, False),
        (torch.float32, {"scaling_factor": 0.13025, "force_upcast": True}, False),
    ],
)
def test_the_autoencoder_that_overflows_in_float16_is_known(dtype, config, overflows):
    assert overflows_in_float16(SimpleNamespace(dtype=dtype, config=config)) == overflows
