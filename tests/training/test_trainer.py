"""The loop: resuming, budget, what a run leaves behind."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fairy.config import TrainConfig
from fairy.errors import ModelError, SettingsError
from fairy.training.checkpoint import find_checkpoint
from fairy.training.trainer import learning_rate, train
from tests.training.conftest import MakeConfig


def steps_of(config: TrainConfig) -> list[int]:
    lines = (config.output / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines if "loss" in json.loads(line)]


@pytest.mark.parametrize("stage", ["autoencoder_config", "editor_config"])
def test_resumed_run_equals_an_uninterrupted_one(
    stage: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    make: MakeConfig = request.getfixturevalue(stage)
    train(make(tmp_path / "whole"))
    # Learning rates are those of 4 steps in all, so the first half must know of them.
    budget = make(tmp_path / "halves", max_steps=4, validate_every=100)
    stopped = StopAfter(2)
    with pytest.raises(Stop):
        train(budget, stopped)
    train(make(tmp_path / "halves", resume=True))
    for name in ("model", "ema", "optimizer"):
        first = load_file(tmp_path / "whole" / "checkpoint-000004" / f"{name}.safetensors")
        second = load_file(tmp_path / "halves" / "checkpoint-000004" / f"{name}.safetensors")
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


class Stop(Exception):
    """Stands for a crash."""


class StopAfter:
    """A progress callback that fails after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, step: int, metrics: dict[str, float]) -> None:
        if step == self.step:
            raise Stop


def test_training_changes_every_weight(editor_config: MakeConfig, tmp_path: Path) -> None:
    train(editor_config(tmp_path / "one", max_steps=1, warmup_steps=1, decay_steps=1))
    train(editor_config(tmp_path / "four", warmup_steps=1))
    one = load_file(tmp_path / "one" / "checkpoint-000001" / "model.safetensors")
    four = load_file(tmp_path / "four" / "checkpoint-000004" / "model.safetensors")
    assert [name for name in one if torch.equal(one[name], four[name])] == []


def test_no_time_left_still_leaves_a_model_and_says_how_to_go_on(
    autoencoder_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        folder = train(autoencoder_config(tmp_path, max_minutes=0.0))
    assert (folder / "config.json").is_file()
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-000000"
    assert "--resume" in caplog.text


def test_metrics_are_json_lines_without_repeats_after_a_resume(
    autoencoder_config: MakeConfig, tmp_path: Path
) -> None:
    settings = {"checkpoint_every": 2, "log_every": 1}
    with pytest.raises(Stop):
        train(autoencoder_config(tmp_path, **settings), StopAfter(3))
    config = autoencoder_config(tmp_path, resume=True, **settings)
    train(config)
    assert steps_of(config) == [1, 2, 3, 4]


def test_validation_sheet_is_written(editor_config: MakeConfig, tmp_path: Path) -> None:
    train(editor_config(tmp_path))
    assert (tmp_path / "validation" / "000004.png").is_file()


def test_second_run_in_the_same_folder_is_refused(
    autoencoder_config: MakeConfig, tmp_path: Path
) -> None:
    train(autoencoder_config(tmp_path, max_steps=1))
    with pytest.raises(SettingsError, match="--resume"):
        train(autoencoder_config(tmp_path))


def test_resume_of_nothing_is_refused(autoencoder_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no checkpoint"):
        train(autoencoder_config(tmp_path, resume=True))


def test_resume_with_other_sizes_is_refused(autoencoder_config: MakeConfig, tmp_path: Path) -> None:
    train(autoencoder_config(tmp_path, max_steps=1))
    with pytest.raises(SettingsError, match="these sizes"):
        train(autoencoder_config(tmp_path, resume=True, latent_channels=8))


def test_missing_autoencoder_is_named(editor_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no autoencoder there"):
        train(editor_config(tmp_path / "run", autoencoder=tmp_path))


def test_loss_that_is_no_number_stops_the_run(
    autoencoder_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="lower learning_rate"):
        train(autoencoder_config(tmp_path, learning_rate=1e38, log_every=1, warmup_steps=0))


def test_rate_rises_stays_and_falls_to_zero(autoencoder_config: MakeConfig, tmp_path: Path) -> None:
    config = autoencoder_config(
        tmp_path, learning_rate=1.0, warmup_steps=10, decay_steps=20, max_steps=100
    )
    assert learning_rate(config, 1) == pytest.approx(0.1)
    assert {learning_rate(config, step) for step in range(10, 82)} == {1.0}
    assert learning_rate(config, 100) == pytest.approx(0.05)
    assert learning_rate(config, 101) == 0
