"""The loop: resuming, budget, what a run leaves behind."""

from __future__ import annotations

import json
import logging
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fairy.errors import JobInterrupted, ModelError, SettingsError
from fairy.training.config import TrainConfig
from fairy.training.run.checkpoint import find_checkpoint
from fairy.training.run.trainer import learning_rate, train
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
    """A simulated crash."""


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
    with pytest.raises(SettingsError, match="its sizes are different"):
        train(autoencoder_config(tmp_path, resume=True, latent_channels=8))


def test_missing_autoencoder_is_named(editor_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no autoencoder in this folder"):
        train(editor_config(tmp_path / "run", autoencoder=tmp_path))


def test_loss_that_is_no_number_stops_the_run_and_keeps_the_batch(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"step 2: the loss is .*lower learning_rate"):
        train(finetune_config(tmp_path, learning_rate=1e38, warmup_steps=0))
    assert (tmp_path / "failed-step-000002" / "part-0.png").is_file()
    kept = load_file(tmp_path / "failed-step-000002" / "part-0.safetensors")
    assert [column.shape for column in kept.values()] == [(2, 3, 16, 16)] * 2


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_leaves_a_checkpoint_from_which_the_run_goes_on_exactly(
    number: signal.Signals, finetune_config: MakeConfig, tmp_path: Path
) -> None:
    train(finetune_config(tmp_path / "whole"))
    with pytest.raises(JobInterrupted, match=f"{number.name} after step 2 of 4.*--resume"):
        train(finetune_config(tmp_path / "halves"), SignalAfter(2, number))
    assert find_checkpoint(tmp_path / "halves") == tmp_path / "halves" / "checkpoint-000002"
    train(finetune_config(tmp_path / "halves", resume=True))
    first, second = (trained_weights(tmp_path / name) for name in ("whole", "halves"))
    assert first.keys() == second.keys()
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, atol=1e-6, rtol=1e-5)


class SignalAfter:
    """A progress callback that sends this process a signal after a step."""

    def __init__(self, step: int, number: signal.Signals) -> None:
        self.step, self.number = step, number

    def __call__(self, step: int, metrics: dict[str, float]) -> None:
        if step == self.step:
            os.kill(os.getpid(), self.number)


def trained_weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "checkpoint-000004" / "model.safetensors")


def test_passes_are_summed_to_the_global_batch(finetune_config: MakeConfig, tmp_path: Path) -> None:
    """Two passes of two are two runs' worth of pairs: every pair of the epoch in five rows."""
    with pytest.raises(SettingsError, match="multiple of batch_size 2 times 1 processes"):
        train(finetune_config(tmp_path, global_batch_size=3))
    train(finetune_config(tmp_path / "run", global_batch_size=4, max_steps=1))
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry["images_per_second"] == pytest.approx(4 / entry["seconds_per_step"])


def test_checkpoints_of_a_lora_hold_the_lora_alone(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    train(finetune_config(tmp_path, lora_rank=2))
    for name in ("model", "ema"):
        weights = load_file(tmp_path / "checkpoint-000004" / f"{name}.safetensors")
        assert weights and all(".lora_" in key for key in weights)


def test_checkpointed_activations_give_the_same_clip_gradients(
    finetune_config: MakeConfig, tmp_path: Path
) -> None:
    clips = {"clip_frames": 4, "clip_anchors": 2, "batch_size": 8, "max_steps": 1, "log_every": 1}
    norms = []
    for name, checkpointing in (("kept", False), ("again", True)):
        train(finetune_config(tmp_path / name, gradient_checkpointing=checkpointing, **clips))
        (line,) = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        norms.append(json.loads(line)["gradient_norm"])
    assert norms[1] == pytest.approx(norms[0], rel=1e-4)


def test_rate_rises_stays_and_falls_to_zero(autoencoder_config: MakeConfig, tmp_path: Path) -> None:
    config = autoencoder_config(
        tmp_path, learning_rate=1.0, warmup_steps=10, decay_steps=20, max_steps=100
    )
    assert learning_rate(config, 1) == pytest.approx(0.1)
    assert {learning_rate(config, step) for step in range(10, 82)} == {1.0}
    assert learning_rate(config, 100) == pytest.approx(0.05)
    assert learning_rate(config, 101) == 0
