"""fairy/synthetic/looks.py."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairy.synthetic import looks
from fairy.synthetic.edits import EDITS
from fairy.synthetic.samplers import ClearSceneSampler, SceneSampler
from fairy.synthetic.scenes import render

GLOBAL = [edit.name for edit in EDITS if edit.scope == "global"]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return render(SceneSampler().sample(torch.tensor([2, 3, 0]), (40, 56), generator)).image


@pytest.fixture(scope="module")
def large() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return render(ClearSceneSampler().sample(torch.tensor([2, 3]), (256, 256), generator)).image


@pytest.mark.parametrize("name", GLOBAL)
def test_keeps_shape_and_range(name: str, images: torch.Tensor) -> None:
    look = getattr(looks, name)(images)
    assert look.shape == images.shape
    assert look.amin() >= -1e-6 <= look.amax() <= 1 + 1e-6


@pytest.mark.parametrize("name", GLOBAL)
def test_each_picture_is_edited_by_itself(name: str, images: torch.Tensor) -> None:
    look = getattr(looks, name)
    assert torch.allclose(look(images)[1:2], look(images[1:2]), atol=1e-5)


def test_all_looks_are_distinct(images: torch.Tensor) -> None:
    results = torch.stack([getattr(looks, name)(images).flatten() for name in GLOBAL])
    distance = torch.cdist(results, results) / results.shape[1] ** 0.5
    assert (distance + torch.eye(len(GLOBAL))).amin() > 0.05


def test_negative_twice_is_the_picture(images: torch.Tensor) -> None:
    assert torch.allclose(looks.negative(looks.negative(images)), images)


def test_black_and_white_has_no_colour(images: torch.Tensor) -> None:
    grey = looks.black_and_white(images)
    assert torch.equal(grey[:, 0], grey[:, 2])


@pytest.mark.parametrize("side", [64, 128, 256])
def test_pixel_art_has_sixteen_blocks_of_one_colour_along_the_shorter_side(side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, side, side * 3 // 2, generator=generator)
    block = side // 16
    blocks = looks.pixel_art(image).unfold(2, block, block).unfold(3, block, block)
    assert blocks.shape[2:4] == (16, 24)
    assert (blocks.amax((-1, -2)) == blocks.amin((-1, -2))).all()


@pytest.mark.parametrize("name", GLOBAL)
def test_means_the_same_at_any_size(name: str, large: torch.Tensor) -> None:
    look = getattr(looks, name)
    small = F.avg_pool2d(large, 2)
    difference = F.avg_pool2d(look(large), 2) - look(small)
    change = look(small) - small
    assert difference.square().mean() < 0.1**2 * change.square().mean()


@pytest.mark.parametrize("name", ["poster", "comic"])
def test_a_small_error_of_the_picture_stays_small(name: str, images: torch.Tensor) -> None:
    look = getattr(looks, name)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)) / 255
    moved = look((images + noise).clamp(0, 1)) - look(images)
    assert moved.abs().amax() < 0.1


def test_night_is_darker_and_fog_flatter(images: torch.Tensor) -> None:
    assert looks.night(images).mean() < 0.5 * images.mean()
    assert looks.fog(images).std() < 0.7 * images.std()
