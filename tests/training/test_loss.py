"""Losses and draws."""

from __future__ import annotations

import pytest
import torch

from fairy.training.loss import (
    MAX_FOCUS,
    change_weights,
    denoising_loss,
    draw_drops,
    draw_timesteps,
    psnr_db,
    reconstruction_loss,
)


def test_reconstruction_loss_is_zero_only_at_the_image() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert reconstruction_loss(images, images) == 0
    assert reconstruction_loss(images, images + 0.1) > 0


def test_blur_costs_more_than_the_same_error_spread_evenly() -> None:
    images = torch.zeros(1, 1, 8, 8)
    checks = 0.1 * (torch.arange(64).view(1, 1, 8, 8) % 2 * 2 - 1)
    flat = torch.full_like(images, 0.1)
    assert reconstruction_loss(images, checks) > reconstruction_loss(images, flat)


def test_timesteps_stay_in_the_schedule_and_reach_its_ends() -> None:
    timesteps = draw_timesteps(200_000, 1.0, torch.Generator().manual_seed(0))
    assert (int(timesteps.min()), int(timesteps.max())) == (0, 999)


def test_power_over_one_favours_high_noise() -> None:
    timesteps = draw_timesteps(20_000, 1.5, torch.Generator().manual_seed(0)).float()
    # The density (p/999) (t/999)**(p-1) has the mean 999 p / (p + 1).
    assert abs(float(timesteps.mean()) - 999 * 1.5 / 2.5) < 8


def test_drops_have_the_asked_shares() -> None:
    text, image = draw_drops(40_000, 0.05, 0.1, 0.15, torch.Generator().manual_seed(0))
    shares = [(text & ~image), (image & ~text), (text & image)]
    for share, wanted in zip(shares, (0.05, 0.1, 0.15), strict=True):
        assert abs(float(share.float().mean()) - wanted) < 0.01


def small_change() -> tuple[torch.Tensor, torch.Tensor]:
    """Two rows of latents (2,4,8,8): the first changes in 4 of 64 places, the second everywhere."""
    source = torch.zeros(2, 4, 8, 8)
    target = source.clone()
    target[0, :, :2, :2] = 1
    target[1] = 1
    return source, target


def test_a_rows_weights_have_mean_one() -> None:
    weights = change_weights(*small_change(), 0.6)
    assert torch.allclose(weights.mean((1, 2, 3)), torch.ones(2))


def test_the_share_falls_on_the_changed_places() -> None:
    source, target = small_change()
    weights = change_weights(source, target, 0.6)[0]
    changed = (target != source)[0, :1]
    assert (weights[changed] > 3 * weights[~changed].max()).all()


def test_before_a_changed_background_the_share_falls_on_what_stays() -> None:
    source, target = small_change()
    kept = (target != source)[0, :1]
    target[0] = 1 - target[0]
    weights = change_weights(source, target, 0.6)[0]
    assert (weights[kept] > 3 * weights[~kept].max()).all()


def test_no_place_counts_without_bound() -> None:
    source = torch.zeros(1, 4, 100, 100)
    target = source.clone()
    target[..., 0, 0] = 1
    weights = change_weights(source, target, 0.6)
    assert weights.max() / weights.min() <= 1 + 0.6 / 0.4 * MAX_FOCUS + 1e-3


def test_a_row_that_changes_everywhere_or_nowhere_is_weighted_evenly() -> None:
    source, target = small_change()
    assert torch.allclose(change_weights(source, target, 0.6)[1], torch.ones(1, 8, 8))
    assert torch.allclose(change_weights(source, source, 0.6), torch.ones(2, 1, 8, 8))


def test_without_a_share_the_loss_is_the_mean_squared_error() -> None:
    prediction, velocity = torch.randn(2, 2, 4, 8, 8)
    weights = change_weights(*small_change(), 0.0)
    plain = (prediction - velocity).square().mean()
    assert torch.isclose(denoising_loss(prediction, velocity, weights), plain)


def test_psnr_of_a_tenth_of_the_range_is_20_db() -> None:
    images = torch.zeros(2, 3, 4, 4)
    assert psnr_db(images + 0.2, images) == pytest.approx(20, abs=1e-3)
