"""fairy/metrics/free_choice.py, on looks whose choice is known."""

from __future__ import annotations

import pytest
import torch

from fairy.metrics.free_choice import edit_psnr_db, hold_psnr_db
from fairy.synthetic.free_looks import FREE_LOOKS

LOOK = FREE_LOOKS["duotone"]


@pytest.fixture
def source() -> torch.Tensor:
    return torch.rand(4, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def edited(source: torch.Tensor, *, own_choice: bool) -> torch.Tensor:
    """The look, with a choice for each frame or the same one for all."""
    seeds = range(len(source)) if own_choice else [0] * len(source)
    frames = [
        LOOK.apply(frame, torch.Generator().manual_seed(seed))
        for frame, seed in zip(source.split(1), seeds, strict=True)
    ]
    return torch.cat(frames)


def test_the_look_is_found_with_any_choice(source):
    for own_choice in (True, False):
        assert edit_psnr_db(edited(source, own_choice=own_choice), source, LOOK.nearest) > 40


def test_a_choice_that_changes_does_not_hold(source):
    held = hold_psnr_db(edited(source, own_choice=False), source, LOOK.nearest)
    flickering = hold_psnr_db(edited(source, own_choice=True), source, LOOK.nearest)
    assert held > 40 and flickering < 25


def test_one_choice_for_all_is_never_better_than_one_for_each(source):
    frames = torch.rand_like(source)
    each = edit_psnr_db(frames, source, LOOK.nearest)
    assert hold_psnr_db(frames, source, LOOK.nearest) <= each + 1e-3


def test_another_picture_is_not_the_look(source):
    assert edit_psnr_db(torch.rand_like(source), source, LOOK.nearest) < 15


def test_another_size_is_an_error(source):
    with pytest.raises(ValueError, match="same length and size"):
        edit_psnr_db(source[..., :-1], source, LOOK.nearest)
