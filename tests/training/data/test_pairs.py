"""Data by step number."""

from __future__ import annotations

from pathlib import Path

import torch

from fairy.synthetic import looks
from fairy.training.data.pairs import ScenePairs, draw_size, edited_after_motion
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


def test_a_grid_on_the_screen_is_made_from_the_moved_source() -> None:
    source, target = torch.rand(2, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    grid, other = edited_after_motion(source, target, ["pixel_art", "night"])
    expected = looks.pixel_art((source[:1] + 1) / 2)[0] * 2 - 1
    assert torch.allclose(grid, expected, atol=1e-6)
    assert torch.equal(other, target[1])


def test_pairs_from_elsewhere_keep_their_moved_targets() -> None:
    source, target = torch.zeros(2, 1, 3, 16, 16)
    assert torch.equal(edited_after_motion(source, target, ()), target)
