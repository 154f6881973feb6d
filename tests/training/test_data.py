"""Data by step number."""

from __future__ import annotations

from pathlib import Path

import torch

from fairy.training.data import ScenePairs, draw_size
from tests.training.conftest import MakeConfig

CPU = torch.device("cpu")


def test_same_step_gives_the_same_pairs(autoencoder_config: MakeConfig, tmp_path: Path) -> None:
    config = autoencoder_config(tmp_path)
    first = ScenePairs(config, CPU).pairs(3, 4, (32, 48))
    second = ScenePairs(config, CPU).pairs(3, 4, (32, 48))
    assert torch.equal(first.target, second.target)
    assert first.instructions == second.instructions


def test_parts_and_splits_see_other_pairs(autoencoder_config: MakeConfig, tmp_path: Path) -> None:
    config = autoencoder_config(tmp_path)
    first = ScenePairs(config, CPU).pairs(3, 4, (32, 32)).source
    assert not torch.equal(first, ScenePairs(config, CPU).pairs(3, 4, (32, 32), part=1).source)
    assert not torch.equal(
        first, ScenePairs(config, CPU).pairs(3, 4, (32, 32), split="test").source
    )


def test_images_have_the_asked_shape_and_range(
    autoencoder_config: MakeConfig, tmp_path: Path
) -> None:
    images = ScenePairs(autoencoder_config(tmp_path), CPU).images(1, 5, (32, 48))
    assert images.shape == (5, 3, 32, 48)
    assert -1 <= float(images.min()) < 0 < float(images.max()) <= 1


def test_every_size_of_the_recipe_is_drawn(autoencoder_config: MakeConfig, tmp_path: Path) -> None:
    config = autoencoder_config(tmp_path, sizes=[[32, 32], [16, 32]])
    assert {draw_size(config, step) for step in range(40)} == {(32, 32), (16, 32)}
