"""The interface between the trainer and a stage: model, loss, validation images, export.

Images (B,3,H,W) in [-1,1]. Tests: tests/training/test_stages.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from fairy.training.autoencoder import AutoencoderStage
from fairy.training.config import TrainConfig
from fairy.training.data.dataset import DatasetPairs
from fairy.training.data.pairs import PairSource, Parts, ScenePairs
from fairy.training.data.pools import PooledPairs
from fairy.training.editor import EditorStage
from fairy.training.model.editor_parts import load_editor, new_editor
from fairy.training.run.contact_sheet import Columns


class Stage(Protocol):
    """What the trainer needs from a stage. It optimises the weights that require gradients."""

    model: nn.Module

    def loss(self, model: nn.Module, step: int, part: int) -> dict[str, Tensor]:
        """Return scalar losses of one part of a step's batch; "loss" is the one to minimise.

        `model` is `self.model` as wrapped for the machine (mixed precision, processes).
        """

    def examples(self, step: int, part: int) -> tuple[Columns, list[str]]:
        """Return the pictures that `loss` uses, as a sheet's columns and row labels."""

    def validate(self) -> tuple[Columns, list[str], dict[str, float]]:
        """Return a sheet's columns, its row labels, and metrics."""

    def export(self, folder: Path, card: str) -> None:
        """Write the finished model into `folder`, with its card."""

    def close(self) -> None:
        """Stop what the stage started, such as worker processes."""


def build_stage(config: TrainConfig, device: torch.device, parts: Parts) -> Stage:
    """Build the stage that the recipe names, with its data."""
    if config.stage == "autoencoder":
        return AutoencoderStage(config, ScenePairs(config, device))
    new = config.stage == "editor"
    editor = new_editor(config) if new else load_editor(config)
    return EditorStage(config, _pair_source(config, device, parts), editor)


def _pair_source(config: TrainConfig, device: torch.device, parts: Parts) -> PairSource:
    if config.data:
        return DatasetPairs(config, device, parts)
    if config.pool_batches:
        return PooledPairs(config, device, parts)
    return ScenePairs(config, device)
