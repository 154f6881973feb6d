"""fairy/training/model/pca_encoder.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fairy.models.patch_autoencoder import PatchAutoencoder
from fairy.synthetic.samplers import SceneSampler
from fairy.synthetic.scenes import render
from fairy.training.model.pca_encoder import fit_code


def _fitted(latent_channels: int, images: Tensor) -> PatchAutoencoder:
    autoencoder = PatchAutoencoder(latent_channels, 4, 8, 1, block_out_channels=(48, 48, 48))
    fit_code(autoencoder, images)
    return autoencoder


@pytest.fixture(scope="module")
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    scene = SceneSampler().sample(torch.full((12,), 3), (32, 48), generator)
    return render(scene).image * 2 - 1


@torch.no_grad()
def _error(autoencoder: PatchAutoencoder, images: Tensor) -> Tensor:
    return (autoencoder(images).sample - images).square().mean()


def test_latents_are_centred_uncorrelated_and_of_variance_one(images: Tensor) -> None:
    with torch.no_grad():
        latents = _fitted(6, images).encode(images).latents.permute(1, 0, 2, 3).flatten(1)
    assert latents.mean(1).abs().max() < 1e-3
    torch.testing.assert_close(latents.cov(), torch.eye(6), atol=1e-3, rtol=0)


def test_deviations_fall(images: Tensor) -> None:
    deviations = _fitted(12, images).deviations
    assert (deviations[1:] <= deviations[:-1]).all()


def test_no_other_code_of_that_length_loses_less(images: Tensor) -> None:
    autoencoder = _fitted(6, images)
    error = _error(autoencoder, images)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        mean = images.new_zeros(48)
        basis = torch.linalg.qr(torch.randn(48, 48, generator=generator))[0]
        autoencoder.set_code(mean, basis[:, :6], torch.ones(6))
        assert _error(autoencoder, images) > error


def test_more_components_lose_less_and_all_lose_nothing(images: Tensor) -> None:
    errors = [float(_error(_fitted(channels, images), images)) for channels in (3, 12, 48)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-8
