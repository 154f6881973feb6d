"""fairy/metrics/equivariance.py: edits whose equivariance is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fairy.metrics.equivariance import equivariance_error, move


@pytest.fixture
def theta() -> Tensor:
    """Give a small rotation and shift for two pictures."""
    return torch.tensor([[1.0, 0.08, 0.04], [-0.08, 1.0, -0.03]]).expand(2, 2, 3)


@pytest.fixture
def frames(picture: Tensor) -> Tensor:
    """Give two different pictures."""
    return torch.cat([picture, picture.flip(2)])


def test_pixelwise_edit_is_equivariant(frames, theta):
    assert equivariance_error(lambda x: 1 - 0.5 * x, frames, theta) < 1e-10


def test_edit_that_fixes_a_pattern_in_place_is_not(frames, theta):
    pattern = frames.flip(3)
    error = equivariance_error(lambda x: (x + pattern) / 2, frames, theta)
    expected = (pattern - move(pattern, theta)[0]) / 2
    inside = move(pattern, theta)[1]
    assert error == pytest.approx(float(expected.square().mean(1)[inside].mean()), rel=1e-4)


def test_own_noise_each_time_is_measured(frames, theta):
    generator = torch.Generator().manual_seed(0)

    def edit(x: Tensor) -> Tensor:
        return x + 0.1 * torch.randn(x.shape, generator=generator)

    error = equivariance_error(edit, frames, theta)
    # Its own noise, 0.01, and that of the other edit, which resampling averages
    assert 0.01 < error < 0.02


def test_identity_moves_nothing(frames):
    identity = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(2, 2, 3)
    moved, inside = move(frames, identity)
    assert torch.allclose(moved, frames, atol=1e-5)
    assert inside[:, 1:-1, 1:-1].all()


def test_places_from_outside_do_not_count(frames):
    shift = torch.tensor([[1.0, 0, 0.5], [0, 1, 0]]).expand(2, 2, 3)
    _, inside = move(frames, shift)
    assert inside[:, 1:-1, 1:47].all() and not inside[:, :, 49:].any()


def test_one_map_for_each_frame_is_asked_for(frames, theta):
    with pytest.raises(ValueError, match=r"give \(2, 2, 3\)"):
        equivariance_error(lambda x: x, frames, theta[:1])


def test_edit_that_changes_the_size_is_refused(frames, theta):
    with pytest.raises(ValueError, match="the edit makes"):
        equivariance_error(lambda x: x[..., 1:], frames, theta)
