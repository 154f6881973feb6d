"""Whitening moves the latents and leaves the pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from fairy.training.build import build_autoencoder
from fairy.training.recipe import load_recipe
from fairy.training.whiten import whiten


@pytest.fixture
def autoencoder(tmp_path: Path) -> AutoencoderKL:
    torch.manual_seed(0)
    return build_autoencoder(load_recipe("tiny-test", {"output": tmp_path})).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_reconstruction_is_unchanged(autoencoder: AutoencoderKL, images: torch.Tensor) -> None:
    latents = autoencoder.encode(images).latent_dist.mode()
    before = autoencoder.decode(latents).sample
    whiten(autoencoder, latents)
    after = autoencoder.decode(autoencoder.encode(images).latent_dist.mode()).sample
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_latents_are_white(autoencoder: AutoencoderKL, images: torch.Tensor) -> None:
    whiten(autoencoder, autoencoder.encode(images).latent_dist.mode())
    latents = autoencoder.encode(images).latent_dist.mode()
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)


@torch.no_grad()
def test_posterior_width_scales_with_its_mean(
    autoencoder: AutoencoderKL, images: torch.Tensor
) -> None:
    before = autoencoder.encode(images).latent_dist
    std = before.mode().std((0, 2, 3))
    whiten(autoencoder, before.mode())
    after = autoencoder.encode(images).latent_dist
    torch.testing.assert_close(after.std * std[:, None, None], before.std, rtol=1e-4, atol=1e-5)
