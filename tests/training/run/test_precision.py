"""fairy/training/run/precision.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fairy.errors import SettingsError
from fairy.training.run import precision
from fairy.training.run.precision import MasterWeights, choose_precision
from fairy.training.run.trainer import train
from tests.training.conftest import MakeConfig


@pytest.mark.parametrize("fast", [True, False])
def test_auto_takes_bf16_where_it_is_fast(
    editor_config: MakeConfig,
    finetune_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fast: bool,
) -> None:
    monkeypatch.setattr(precision, "has_fast_bf16", lambda: fast)
    whole, lora = editor_config(tmp_path), finetune_config(tmp_path, lora_rank=2)
    assert choose_precision(whole, on_cuda=False) == ("bf16 weights" if fast else "float32")
    assert choose_precision(lora, on_cuda=False) == "float32"
    autoencoder = editor_config(tmp_path, stage="autoencoder")
    assert choose_precision(autoencoder, on_cuda=False) == "float32"
    assert choose_precision(whole, on_cuda=True) == "bf16 mixed precision"
    exact = editor_config(tmp_path, precision="float32")
    assert {choose_precision(exact, on_cuda=cuda) for cuda in (True, False)} == {"float32"}


def test_bf16_of_a_lora_is_refused(finetune_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="precision bf16 on a CPU works only for whole editors"):
        choose_precision(finetune_config(tmp_path, lora_rank=2, precision="bf16"), on_cuda=False)


def test_updates_smaller_than_a_step_of_bf16_add_up() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    masters = MasterWeights(model, "bf16 weights")
    optimizer = torch.optim.SGD(masters.weights.values(), lr=1e-3)
    for _ in range(10):
        model(torch.ones(1, 1, dtype=torch.bfloat16)).sum().backward()
        masters.take_gradients()
        optimizer.step()
        masters.publish()
    assert float(masters.weights["weight"]) == pytest.approx(0.99, abs=1e-5)
    assert model.weight.dtype == torch.bfloat16
    assert float(model.weight) == pytest.approx(0.99, abs=4e-3)


@pytest.mark.parametrize("kind", ["bf16 weights", "float32"])
def test_own_weights_come_back_after_an_exception(kind: precision.Precision) -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    masters = MasterWeights(model, kind)
    other = {"weight": torch.zeros(1, 1)}
    with pytest.raises(KeyError), masters.in_model(other):
        assert float(model.weight) == 0
        assert model.weight.dtype == torch.float32
        raise KeyError
    assert float(model.weight) == 1


def test_what_is_loaded_into_the_model_is_loaded_into_the_masters() -> None:
    model = nn.Linear(1, 1, bias=False)
    masters = MasterWeights(model, "bf16 weights")
    with masters.in_model():
        model.load_state_dict({"weight": torch.tensor([[0.123456]])})
    assert float(masters.weights["weight"]) == pytest.approx(0.123456, abs=1e-7)
    assert float(model.weight) == pytest.approx(0.123456, rel=1e-2)


class Stop(Exception):
    """A simulated crash."""


def stop_after_two(step: int, metrics: dict[str, float]) -> None:
    if step == 2:
        raise Stop


def test_a_bf16_run_resumes_exactly_and_exports_float32_averages(
    editor_config: MakeConfig, tmp_path: Path
) -> None:
    # Small pictures: most processors are slow in bf16.
    settings = {"precision": "bf16", "sizes": [[16, 16]], "validation_size": [16, 16]}
    folder = train(editor_config(tmp_path / "whole", **settings))
    with pytest.raises(Stop):
        train(editor_config(tmp_path / "halves", **settings), stop_after_two)
    train(editor_config(tmp_path / "halves", resume=True, **settings))
    for name in ("model", "ema", "optimizer"):
        first = load_file(tmp_path / "whole" / "checkpoint-000004" / f"{name}.safetensors")
        second = load_file(tmp_path / "halves" / "checkpoint-000004" / f"{name}.safetensors")
        assert all(torch.equal(first[key], second[key]) for key in first)
        assert {value.dtype for value in first.values()} == {torch.float32}
    mean = load_file(tmp_path / "whole" / "checkpoint-000004" / "ema.safetensors")
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(value, mean[f"unet.{name}"].half()) for name, value in unet.items())


def test_bf16_learns_what_float32_learns(editor_config: MakeConfig, tmp_path: Path) -> None:
    losses = []
    for kind in ("float32", "bf16"):
        settings = {"validate_every": 100, "log_every": 1, "sizes": [[16, 16]]}
        train(editor_config(tmp_path / kind, precision=kind, **settings))
        lines = (tmp_path / kind / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
