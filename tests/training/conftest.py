"""Runs of toy size: an autoencoder on scenes, editors on top of it, a finetune on a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from fairy.training.config import TrainConfig
from fairy.training.recipe import load_recipe
from fairy.training.run import log
from fairy.training.run.trainer import train
from tests.tiny import make_tiny_mini, save_tiny_pipeline
from tests.training.pairs_on_disk import write_pairs


@pytest.fixture(autouse=True)
def no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no curves: matplotlib takes longer than a run of toy size (run/test_log.py has them)."""
    monkeypatch.setattr(log, "draw_curves", lambda metrics, picture: None)


class MakeConfig(Protocol):
    def __call__(self, output: Path, **overrides: object) -> TrainConfig: ...


@pytest.fixture(scope="session")
def tiny_autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an autoencoder that the trainer itself made."""
    return train(load_recipe("tiny-test", {"output": tmp_path_factory.mktemp("autoencoder")}))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as people have them: of the SD kind, with a convolutional autoencoder."""
    return save_tiny_pipeline(tmp_path_factory.mktemp("model"), size=32, guidance_scale=3.0)


@pytest.fixture(scope="session")
def tiny_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of the bundled model's kind."""
    return save_tiny_pipeline(tmp_path_factory.mktemp("mini"), make=make_tiny_mini, size=32)


@pytest.fixture(scope="session")
def tiny_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of seven pairs of 20x20."""
    return write_pairs(tmp_path_factory.mktemp("pairs"), "folder")


@pytest.fixture(scope="session")
def autoencoder_config() -> MakeConfig:
    def make(output: Path, **overrides: object) -> TrainConfig:
        return load_recipe("tiny-test", {"output": output, **overrides})

    return make


@pytest.fixture(scope="session")
def editor_config(tiny_autoencoder: Path) -> MakeConfig:
    def make(output: Path, **overrides: object) -> TrainConfig:
        settings = {"stage": "editor", "autoencoder": tiny_autoencoder, "output": output}
        return load_recipe("tiny-test", {**settings, **overrides})

    return make


@pytest.fixture(scope="session")
def finetune_config(tiny_model: Path, tiny_pairs: Path) -> MakeConfig:
    """The paper's augmentation at 16 px on the data set; two pairs a step."""

    def make(output: Path, **overrides: object) -> TrainConfig:
        settings = {
            "output": output,
            "model": str(tiny_model),
            "data": str(tiny_pairs),
            "sizes": [[16, 16]],
            "validation_size": [16, 16],
            "batch_size": 2,
            "max_steps": 4,
            "warmup_steps": 1,
            "decay_steps": 1,
            "log_every": 1,
            "num_validation": 2,
            "validate_every": 100,
            "num_inference_steps": 1,
            "own_guess_share": 0,
            "channel_weight_power": 0,
            "timestep_set": [],
            "pool_batches": 0,
            "average_every": 0,
        }
        return load_recipe("mini-equivariant", {**settings, **overrides})

    return make
