"""Checkpoints: whole or not there, and only what the run itself knows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fairy.errors import SettingsError
from fairy.training.config import TrainConfig
from fairy.training.model.ema import Ema
from fairy.training.run.checkpoint import (
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
    save_process,
)


def _trained(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


class Run:
    """A model of a frozen and a trained layer, after one step."""

    def __init__(self, output: Path, stage: str = "finetune", width: int = 2) -> None:
        self.config = TrainConfig(stage=stage, model="mini", output=output)
        self.model = nn.Sequential(nn.Linear(2, width), nn.Linear(width, 1))
        self.model[0].requires_grad_(False)
        self.ema = Ema(_trained(self.model), 0.9)
        self.optimizer = torch.optim.AdamW([w for w in self.model.parameters() if w.requires_grad])
        self.model(torch.ones(1, 2)).sum().backward()
        self.optimizer.step()

    def save(self, step: int) -> Path:
        return save_checkpoint(self.config, step, self.model, self.ema, self.optimizer)

    def load(self, folder: Path) -> int:
        return load_checkpoint(folder, self.model, self.ema, self.optimizer)


def test_only_the_newest_is_kept(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save(1)
    run.save(20)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000020"]
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-000020"


def test_a_half_written_one_is_not_found(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint-000001").mkdir()
    assert find_checkpoint(tmp_path) is None


@pytest.mark.parametrize("stage", ["finetune", "autoencoder"])
def test_what_is_trained_comes_back(stage: str, tmp_path: Path) -> None:
    first, second = Run(tmp_path, stage), Run(tmp_path, stage)
    assert second.load(first.save(7)) == 7
    assert torch.equal(first.model[1].weight, second.model[1].weight)
    moments = [run.optimizer.state_dict()["state"][0]["exp_avg"] for run in (first, second)]
    assert torch.equal(*moments)


def test_frozen_weights_are_saved_unless_they_are_the_finetuned_models(tmp_path: Path) -> None:
    for stage, saved in (("finetune", False), ("autoencoder", True)):
        first, second = Run(tmp_path / stage, stage), Run(tmp_path / stage, stage)
        second.load(first.save(1))
        assert torch.equal(first.model[0].weight, second.model[0].weight) == saved


def test_each_process_gets_its_own_weights_back(tmp_path: Path) -> None:
    first, second = Run(tmp_path), Run(tmp_path)
    save_process(second.config, 3, 1, second.model, second.optimizer)
    folder = first.save(3)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000003"]
    for process, expected in ((0, first), (1, second), (2, first)):
        again = Run(tmp_path)
        load_checkpoint(folder, again.model, again.ema, again.optimizer, process)
        assert torch.equal(again.model[1].weight, expected.model[1].weight)


def test_other_sizes_are_named(tmp_path: Path) -> None:
    folder = Run(tmp_path).save(1)
    with pytest.raises(SettingsError, match="its sizes are different"):
        Run(tmp_path, width=3).load(folder)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    folder = Run(tmp_path).save(1)
    other = Run(tmp_path)
    other.model[0].requires_grad_(True)
    with pytest.raises(SettingsError, match="its sizes are different"):
        other.load(folder)
