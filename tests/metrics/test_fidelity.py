"""fairy/metrics/fidelity.py: known answers, and the same numbers as other libraries."""

from __future__ import annotations

import importlib.util
import math

import cv2
import kornia
import pytest
import torch
from torch import Tensor

from fairy.media.frames import to_images
from fairy.metrics.fidelity import lpips, psnr_db, same_region, sharpness, ssim


@pytest.fixture(scope="module")
def noisy(still: Tensor) -> Tensor:
    """Return the still clip with different noise in each frame."""
    noise = torch.randn(still.shape, generator=torch.Generator().manual_seed(0))
    return (still + 0.05 * noise).clamp(0, 1)


@pytest.fixture
def left(still: Tensor) -> Tensor:
    """Give a mask of the left half."""
    mask = torch.zeros(len(still), *still.shape[2:], dtype=torch.bool)
    mask[:, :, :32] = True
    return mask


def test_equal_frames_are_perfect(still):
    assert psnr_db(still, still) == 100
    assert ssim(still, still) == pytest.approx(1)
    assert sharpness(still, still) == pytest.approx(1)


def test_psnr_of_a_known_offset(still):
    dark = still * 0.5
    assert psnr_db(dark + 0.1, dark) == pytest.approx(20, abs=1e-3)


def test_psnr_is_the_mean_over_frames_not_of_all_points(still):
    dark = (still * 0.5)[:2]
    changed = dark + torch.tensor([0.1, 0.01])[:, None, None, None]
    assert psnr_db(changed, dark) == pytest.approx(30, abs=1e-2)


def test_psnr_equals_kornias(noisy, still):
    theirs = kornia.metrics.psnr(noisy[:1], still[:1], 1.0)
    assert psnr_db(noisy[:1], still[:1]) == pytest.approx(float(theirs), rel=1e-5)


def test_psnr_equals_opencvs(noisy, still):
    ours, theirs = to_images(noisy[:1] * 2 - 1)[0], to_images(still[:1] * 2 - 1)[0]
    rounded = [torch.from_numpy(image).permute(2, 0, 1)[None] / 255 for image in (ours, theirs)]
    assert psnr_db(*rounded) == pytest.approx(cv2.PSNR(ours, theirs), rel=1e-4)


def test_ssim_equals_scikit_images(noisy, still):
    metrics = pytest.importorskip("skimage.metrics")
    first, second = (frames[0].permute(1, 2, 0).numpy() for frames in (noisy, still))
    theirs = metrics.structural_similarity(
        first, second, data_range=1, channel_axis=2, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )[1]  # fmt: skip
    inner = torch.zeros(1, 48, 64, dtype=torch.bool)
    inner[:, 6:-6, 6:-6] = True
    ours = ssim(noisy[:1], still[:1], inner)
    assert ours == pytest.approx(theirs[6:-6, 6:-6].mean(), abs=1e-3)


def test_ssim_equals_torchmetrics(noisy, still):
    image = pytest.importorskip("torchmetrics.functional.image")
    theirs = image.structural_similarity_index_measure(noisy[:1], still[:1], data_range=1.0)
    assert ssim(noisy[:1], still[:1]) == pytest.approx(float(theirs), abs=1e-3)


def test_more_noise_is_less_alike(noisy, still):
    worse = (still + 3 * (noisy - still)).clamp(0, 1)
    assert psnr_db(worse, still) < psnr_db(noisy, still)
    assert ssim(worse, still) < ssim(noisy, still) < 1


def test_points_outside_the_mask_do_not_count(still, left):
    changed = still.clone()
    changed[:, :, :, 32:] = 0
    assert psnr_db(changed, still, left) == 100
    assert psnr_db(changed, still, ~left) < 20


def test_frames_without_counted_points_are_left_out(still, left):
    changed = still.clone()
    changed[0] = 0
    left[0] = False
    assert psnr_db(changed, still, left) == 100


def test_ssim_with_a_mask_sees_the_masked_part_only(still, left):
    changed = still.clone()
    changed[:, :, :, 44:] = 0
    assert ssim(changed, still, left) == pytest.approx(1)


def test_blur_is_less_sharp(still):
    blurred = kornia.filters.gaussian_blur2d(still, (9, 9), (1.5, 1.5))
    ratio = sharpness(blurred, still)
    assert ratio is not None and ratio < 0.5


def test_noise_counts_as_sharp(noisy, still):
    ratio = sharpness(noisy, still)
    assert ratio is not None and ratio > 1.5


def test_half_the_contrast_is_a_quarter_of_the_energy(still):
    assert sharpness(0.5 + 0.5 * (still - 0.5), still) == pytest.approx(0.25, rel=1e-4)


def test_sharpness_is_not_measured_against_a_plain_picture(still):
    plain = torch.full_like(still, 0.5)
    assert sharpness(still, torch.zeros_like(plain)) is None


def test_same_region_is_where_the_target_keeps_the_source(still):
    target = still.clone()
    target[:, 1, :, 10:20] = 1 - target[:, 1, :, 10:20]
    target[:, :, :, 40:] += 1 / 255
    same = same_region(still, target)
    assert same[:, :, :10].all() and same[:, :, 20:].all()
    assert same[:, :, 10:20].float().mean() < 0.1


class _Difference(torch.nn.Module):
    def forward(self, frames: Tensor, reference: Tensor) -> Tensor:
        assert frames.amin() >= -1 and frames.amin() < 0
        return (frames - reference).abs().mean(1, keepdim=True)


def test_lpips_hands_the_network_frames_from_minus_one_to_one(still, left):
    changed = still.clone()
    changed[:, :, :, 32:] = (changed[:, :, :, 32:] + 0.1).clamp(max=1)
    assert lpips(changed, still, left, _Difference()) == 0
    whole, right = (lpips(changed, still, mask, _Difference()) for mask in (None, ~left))
    assert whole is not None and right is not None and math.isclose(2 * whole, right, rel_tol=1e-4)


@pytest.mark.skipif(importlib.util.find_spec("lpips") is not None, reason="it is there")
def test_lpips_is_not_measured_where_it_is_not_installed(still):
    assert lpips(still, still) is None
