"""A run of toy size on scenes alone: an autoencoder trained for a few steps, and recipes for it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from fairy.config import TrainConfig
from fairy.training.recipe import load_recipe
from fairy.training.trainer import train


class MakeConfig(Protocol):
    def __call__(self, output: Path, **overrides: object) -> TrainConfig: ...


@pytest.fixture(scope="session")
def tiny_autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an autoencoder that the trainer itself made."""
    return train(load_recipe("tiny-test", {"output": tmp_path_factory.mktemp("autoencoder")}))


@pytest.fixture
def autoencoder_config() -> MakeConfig:
    def make(output: Path, **overrides: object) -> TrainConfig:
        return load_recipe("tiny-test", {"output": output, **overrides})

    return make


@pytest.fixture
def editor_config(tiny_autoencoder: Path) -> MakeConfig:
    def make(output: Path, **overrides: object) -> TrainConfig:
        settings = {"stage": "editor", "autoencoder": tiny_autoencoder, "output": output}
        return load_recipe("tiny-test", {**settings, **overrides})

    return make
