"""fairy/synthetic/looks.py."""

from __future__ import annotations

import pytest
import torch

from fairy.synthetic import looks
from fairy.synthetic.edits import EDITS
from fairy.synthetic.scenes import SceneSampler, render

GLOBAL = [edit.name for edit in EDITS if edit.scope == "global"]
RANDOM = [looks.duotone, looks.stained_glass, looks.brush_strokes]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return render(SceneSampler().sample(torch.tensor([2, 3, 0]), (40, 56), generator)).image


@pytest.mark.parametrize("name", GLOBAL)
def test_keeps_shape_and_range(name: str, images: torch.Tensor) -> None:
    look = getattr(looks, name)(images)
    assert look.shape == images.shape
    assert look.amin() >= -1e-6 <= look.amax() <= 1 + 1e-6


@pytest.mark.parametrize("name", GLOBAL)
def test_each_picture_is_edited_by_itself(name: str, images: torch.Tensor) -> None:
    look = getattr(looks, name)
    assert torch.allclose(look(images)[1:2], look(images[1:2]), atol=1e-5)


def test_all_looks_are_told_apart(images: torch.Tensor) -> None:
    results = torch.stack([getattr(looks, name)(images).flatten() for name in GLOBAL])
    distance = torch.cdist(results, results) / results.shape[1] ** 0.5
    assert (distance + torch.eye(len(GLOBAL))).amin() > 0.05


@pytest.mark.parametrize("look", RANDOM)
def test_a_free_choice_depends_on_the_seed(look, images: torch.Tensor) -> None:  # type: ignore[no-untyped-def]
    first = look(images, torch.Generator().manual_seed(0))
    assert torch.equal(first, look(images, torch.Generator().manual_seed(0)))
    assert (first - look(images, torch.Generator().manual_seed(1))).abs().mean() > 0.02


def test_negative_twice_is_the_picture(images: torch.Tensor) -> None:
    assert torch.allclose(looks.negative(looks.negative(images)), images)


def test_black_and_white_has_no_colour(images: torch.Tensor) -> None:
    grey = looks.black_and_white(images)
    assert torch.equal(grey[:, 0], grey[:, 2])


def test_pixel_art_blocks_have_one_colour(images: torch.Tensor) -> None:
    blocks = looks.pixel_art(images).unfold(2, 8, 8).unfold(3, 8, 8)
    assert (blocks.amax((-1, -2)) == blocks.amin((-1, -2))).all()


def test_night_is_darker_and_fog_flatter(images: torch.Tensor) -> None:
    assert looks.night(images).mean() < 0.5 * images.mean()
    assert looks.fog(images).std() < 0.7 * images.std()
