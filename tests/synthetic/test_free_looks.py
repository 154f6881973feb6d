"""fairy/synthetic/free_looks.py."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.synthetic.edits import EDITS_BY_NAME
from fairy.synthetic.free_looks import (
    FREE_LOOKS,
    FreeLook,
    combine,
    nearest_choice,
    vivid_colours,
    with_luma,
)
from fairy.synthetic.looks import LUMA
from fairy.synthetic.samplers import ClearSceneSampler
from fairy.synthetic.scenes import render

LOOKS = pytest.mark.parametrize("look", FREE_LOOKS.values(), ids=FREE_LOOKS)


@functools.cache
def _images(size: tuple[int, int] = (64, 80), count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return render(ClearSceneSampler().sample(torch.arange(count) + 1, size, generator)).image


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_is_an_edit_that_leaves_a_choice() -> None:
    assert not any(EDITS_BY_NAME[name].deterministic for name in FREE_LOOKS)


@LOOKS
def test_keeps_shape_and_range(look: FreeLook) -> None:
    images = _images()
    result = look.apply(images, _generator())
    assert result.shape == images.shape
    assert result.amin() >= 0 <= result.amax() <= 1


@LOOKS
def test_the_choice_depends_on_the_seed(look: FreeLook) -> None:
    images = _images()
    first = look.apply(images, _generator())
    assert torch.equal(first, look.apply(images, _generator()))
    assert (first - look.apply(images, _generator(1))).abs().mean() > 0.02


@LOOKS
def test_each_row_has_a_choice_of_its_own(look: FreeLook) -> None:
    same = _images()[:1].expand(4, -1, -1, -1)
    result = look.apply(same, _generator())
    assert (result[1:] - result[:1]).abs().mean((1, 2, 3)).amin() > 0.01


@LOOKS
def test_offset_and_weights_are_the_sources_alone(look: FreeLook) -> None:
    images = _images()
    offset, weights = look.terms(images)
    choice = look.draw(len(images), _generator())
    assert offset.shape == images.shape
    assert weights.shape[:2] == choice.shape[:2]
    again = look.terms(images[1:2])
    assert torch.allclose(offset[1:2], again[0], atol=1e-6)
    assert torch.allclose(weights[1:2], again[1], atol=1e-5)


@LOOKS
def test_nearest_finds_the_choice_that_was_drawn(look: FreeLook) -> None:
    image = _images()[1:2]
    result = look.apply(image, _generator())
    assert (look.nearest(image, result) - result).square().mean() < 1e-4


@LOOKS
def test_one_choice_for_all_rows(look: FreeLook) -> None:
    """A clip that keeps its choice scores high; one that changes it does not."""
    clip = _images()[:1].expand(4, -1, -1, -1)
    choice = look.draw(1, _generator()).expand(4, -1, -1)
    steady = combine(*look.terms(clip), choice)
    flickering = look.apply(clip, _generator())
    fit = look.nearest(clip, flickering)
    assert torch.allclose(fit, fit[:1].expand_as(fit))
    assert (look.nearest(clip, steady) - steady).square().mean() < 1e-4
    assert (fit - flickering).square().mean() > 1e-3


@LOOKS
def test_another_picture_is_not_the_edit(look: FreeLook) -> None:
    image, other = _images()[:2].split(1)
    result = look.apply(other, _generator())
    assert (look.nearest(image, result) - result).square().mean() > 1e-3


@LOOKS
def test_means_the_same_at_any_size(look: FreeLook) -> None:
    large = _images((256, 256), count=2)
    small = F.avg_pool2d(large, 2)
    choice = look.draw(len(large), _generator())
    at_small = combine(*look.terms(small), choice)
    difference = F.avg_pool2d(combine(*look.terms(large), choice), 2) - at_small
    assert difference.square().mean() < 0.1**2 * (at_small - small).square().mean()


def test_a_term_without_weight_gets_no_choice() -> None:
    weights = torch.zeros(2, 2, 1, 8, 8)
    weights[:, 0] = 1
    result = torch.full((2, 3, 8, 8), 0.5)
    choice = nearest_choice(torch.zeros_like(result), weights, result)
    assert torch.allclose(choice[0, 0], torch.full((3,), 0.5), atol=1e-4)
    assert torch.equal(choice[0, 1], torch.zeros(3))


def test_colours_get_the_brightness_asked_for() -> None:
    levels = torch.tensor([0.1, 0.4, 0.7, 0.9])
    colours = with_luma(vivid_colours(20, 4, _generator()), levels)
    assert torch.allclose((colours * torch.tensor(LUMA)).sum(-1), levels.expand(20, -1), atol=0.01)
