"""fairy/training/model/pca_encoder.py."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from fairy.synthetic.scenes import SceneSampler, render
from fairy.training.model.pca_encoder import write_encoder


def _autoencoder(latent_channels: int, levels: int = 3) -> AutoencoderTiny:
    return AutoencoderTiny(
        latent_channels=latent_channels,
        encoder_block_out_channels=(3 * 4 ** (levels - 1),) * levels,
        decoder_block_out_channels=(8,) * levels,
        num_encoder_blocks=(0,) * levels,
        num_decoder_blocks=(1,) * levels,
    )


@pytest.fixture(scope="module")
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    scene = SceneSampler().sample(torch.full((12,), 3), (32, 48), generator)
    return render(scene).image * 2 - 1


def _encode(autoencoder: AutoencoderTiny, images: Tensor) -> Tensor:
    write_encoder(autoencoder, images)
    with torch.no_grad():
        latents: Tensor = autoencoder.encode(images).latents
    return latents


def test_latents_are_a_quarter_of_the_size(images: Tensor) -> None:
    assert _encode(_autoencoder(12), images).shape == (12, 12, 8, 12)


def test_latents_are_centred_and_uncorrelated(images: Tensor) -> None:
    latents = _encode(_autoencoder(6), images).permute(1, 0, 2, 3).flatten(1)
    assert latents.mean(1).abs().max() < 1e-4
    covariance = latents.cov()
    off_diagonal = covariance - covariance.diag().diag()
    assert off_diagonal.abs().max() < 1e-3


def test_first_channel_has_unit_variance_and_later_ones_less(images: Tensor) -> None:
    std = _encode(_autoencoder(12), images).std((0, 2, 3))
    assert std[0] == pytest.approx(1, abs=1e-3)
    assert (std[1:] <= std[:-1] + 1e-5).all()


def test_a_block_depends_on_its_own_pixels_only(images: Tensor) -> None:
    autoencoder = _autoencoder(12)
    before = _encode(autoencoder, images)
    other = images.clone()
    other[:, :, 4:8, 8:12] = -other[:, :, 4:8, 8:12]
    with torch.no_grad():
        changed = (autoencoder.encode(other).latents != before).any(1)
    assert changed[:, 1, 2].all()
    changed[:, 1, 2] = False
    assert not changed.any()


def test_all_components_lose_nothing(images: Tensor) -> None:
    latents = _encode(_autoencoder(12, levels=2), images).permute(0, 2, 3, 1).flatten(0, 2)
    blocks = torch.nn.functional.pixel_unshuffle(images, 2).permute(0, 2, 3, 1).flatten(0, 2)
    with_one = torch.cat([latents, torch.ones(len(latents), 1)], dim=1).double()
    fitted = with_one @ torch.linalg.lstsq(with_one, blocks.double()).solution
    assert (fitted - blocks).abs().max() < 1e-3
