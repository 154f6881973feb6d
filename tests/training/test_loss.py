"""Losses and draws."""

from __future__ import annotations

import pytest
import torch

from fairy.training.loss import (
    MAX_FOCUS,
    change_weights,
    channel_weights,
    denoising_loss,
    draw_drops,
    draw_few_timesteps,
    draw_open_timesteps,
    draw_timesteps,
    psnr_db,
    reconstruction_loss,
)


def test_reconstruction_loss_is_zero_only_at_the_image() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert reconstruction_loss(images, images) == 0
    assert reconstruction_loss(images, images + 0.1) > 0


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


def test_few_timesteps_are_those_of_the_set() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = draw_few_timesteps((999, 749, 499, 249), 30, 0.4, 40_000, generator)
    others = drawn[drawn != 999]
    assert float((drawn == 999).float().mean()) == pytest.approx(0.4, abs=0.01)
    nearest = (others[:, None] - torch.tensor([749, 499, 249])).abs().amin(1)
    assert int(nearest.max()) == 30
    assert float((others > 600).float().mean()) == pytest.approx(1 / 3, abs=0.01)


def test_a_set_of_pure_noise_alone_is_pure_noise() -> None:
    drawn = draw_few_timesteps((999,), 0, 0.4, 100, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {999}


def test_open_timesteps_are_uniform_from_100() -> None:
    drawn = draw_open_timesteps(0.12, 40_000, torch.Generator().manual_seed(0))
    assert (int(drawn.min()), int(drawn.max())) == (100, 999)
    assert float((drawn == 999).float().mean()) == pytest.approx(0.12, abs=0.01)
    assert float(drawn[drawn < 999].float().mean()) == pytest.approx(549.5, abs=5)


GRID = 4


def small_change() -> tuple[torch.Tensor, torch.Tensor]:
    """Two rows of pictures (2,3,32,32): the first changes in 4 of 64 blocks, the second in all."""
    source = torch.zeros(2, 3, 32, 32)
    target = source.clone()
    target[0, :, :8, :8] = 1
    target[1] = 1
    return source, target


def changed_blocks() -> torch.Tensor:
    changed = torch.zeros(1, 8, 8, dtype=torch.bool)
    changed[0, :2, :2] = True
    return changed


def test_a_rows_weights_have_mean_one() -> None:
    weights = change_weights(*small_change(), GRID, 0.6)
    assert weights.shape == (2, 1, 8, 8)
    assert torch.allclose(weights.mean((1, 2, 3)), torch.ones(2))


def test_the_share_falls_on_the_changed_blocks() -> None:
    weights, changed = change_weights(*small_change(), GRID, 0.6)[0], changed_blocks()
    assert (weights[changed] > 3 * weights[~changed].max()).all()


def test_before_a_changed_background_the_share_falls_on_what_stays() -> None:
    source, target = small_change()
    target[0] = 1 - target[0]
    weights, kept = change_weights(source, target, GRID, 0.6)[0], changed_blocks()
    assert (weights[kept] > 3 * weights[~kept].max()).all()


def test_objects_that_stay_count_as_much_as_the_one_that_changes() -> None:
    source, target = small_change()
    objects = torch.zeros(2, 32, 32, dtype=torch.bool)
    objects[0, :8, :8] = objects[0, 16:24, 16:24] = True
    weights = change_weights(source, target, GRID, 0.6, objects)[0, 0]
    assert torch.allclose(weights[:2, :2], weights[4:6, 4:6])
    assert weights[0, 0] > 2 * weights[7, 7]


def test_where_the_only_object_changes_the_share_is_its_own() -> None:
    source, target = small_change()
    objects = torch.zeros(2, 32, 32, dtype=torch.bool)
    objects[0, :8, :8] = True
    weights = change_weights(source, target, GRID, 0.6, objects)
    assert torch.equal(weights, change_weights(source, target, GRID, 0.6))


def test_no_block_counts_without_bound() -> None:
    source = torch.zeros(1, 3, 400, 400)
    target = source.clone()
    target[..., :4, :4] = 1
    weights = change_weights(source, target, GRID, 0.6)
    assert weights.max() / weights.min() <= 1 + 0.6 / 0.4 * MAX_FOCUS + 1e-3


def test_a_row_that_changes_everywhere_or_nowhere_is_weighted_evenly() -> None:
    source, target = small_change()
    assert torch.allclose(change_weights(source, target, GRID, 0.6)[1], torch.ones(1, 8, 8))
    assert torch.allclose(change_weights(source, source, GRID, 0.6), torch.ones(2, 1, 8, 8))


def test_without_a_share_the_loss_is_the_mean_squared_error() -> None:
    prediction, velocity = torch.randn(2, 2, 4, 8, 8)
    weights = change_weights(*small_change(), GRID, 0.0)
    plain = (prediction - velocity).square().mean()
    assert torch.isclose(denoising_loss(prediction, velocity, weights), plain)


def test_channels_weigh_by_a_power_of_their_variance() -> None:
    deviations = torch.tensor([4.0, 2.0, 1.0])
    assert torch.equal(channel_weights(deviations, 0.0), torch.ones(1, 3, 1, 1))
    half = channel_weights(deviations, 0.5).flatten()
    assert half.mean() == pytest.approx(1)
    torch.testing.assert_close(half / half[2], deviations)


def test_with_power_one_the_loss_is_the_pixels_error() -> None:
    """Of an orthonormal code, up to a factor that is the same for all latents."""
    deviations = torch.tensor([3.0, 1.0, 0.5])
    weights, even = channel_weights(deviations, 1.0), torch.ones(1, 1, 4, 4)
    ratios = []
    for seed in range(2):
        error = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
        loss = denoising_loss(error, torch.zeros_like(error), even, weights)
        ratios.append(float(loss / (error * deviations[:, None, None]).square().mean()))
    assert ratios[0] == pytest.approx(ratios[1], rel=1e-5)


def test_psnr_of_a_tenth_of_the_range_is_20_db() -> None:
    images = torch.zeros(2, 3, 4, 4)
    assert psnr_db(images + 0.2, images) == pytest.approx(20, abs=1e-3)
