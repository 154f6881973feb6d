"""The stage that makes the autoencoder: an encoder that is computed, a decoder that is learnt.

Images (B,3,H,W) in [-1,1], latents (B,C,h,w). Tests: tests/training/run/test_trainer.py.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from fairy.training.config import TrainConfig
from fairy.training.data.pairs import ScenePairs, draw_size
from fairy.training.loss import psnr_db, reconstruction_loss
from fairy.training.model.build import build_autoencoder
from fairy.training.model.pca_encoder import write_encoder
from fairy.training.run.contact_sheet import Columns
from fairy.training.run.seeding import generator


class AutoencoderModel(nn.Module):
    """Images and noise in, reconstruction out; only the decoder learns."""

    def __init__(self, autoencoder: AutoencoderTiny, latent_noise: float) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.autoencoder.encoder.requires_grad_(False)
        self.latent_noise = latent_noise

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """Encode images (B,3,H,W), add noise (B,C,h,w), decode."""
        latents = self.autoencoder.encode(images).latents + self.latent_noise * noise
        outputs: Tensor = self.autoencoder.decode(latents).sample
        return outputs


class AutoencoderStage:
    """Computes the encoder from principal components, then learns to decode its latents."""

    def __init__(self, config: TrainConfig, source: ScenePairs) -> None:
        self.config = config
        self.source = source
        self.autoencoder = build_autoencoder(config).to(source.device)
        # Steps below zero, so that these images are not seen again. 512 crops of 64x64 hold
        # 131,072 blocks of 4x4, for 48 x 48 covariances.
        batches = range(-1, -1 - math.ceil(config.num_component_images / 32), -1)
        images = [source.images(step, 32, config.sizes[0]) for step in batches]
        write_encoder(self.autoencoder, torch.cat(images))
        self.model: nn.Module = AutoencoderModel(self.autoencoder, config.latent_noise)

    def loss(self, model: nn.Module, step: int, part: int) -> dict[str, Tensor]:
        """Reconstruction loss of the step's images."""
        config, source = self.config, self.source
        images = self._images(step, part)
        gen = generator(config.seed, step, "latents", part=part)
        grid = 2 ** (len(config.decoder_blocks) - 1)
        size = images.shape[2] // grid, images.shape[3] // grid
        shape = (len(images), config.latent_channels, *size)
        noise = torch.randn(shape, generator=gen).to(source.device)
        return {"loss": reconstruction_loss(images, model(images, noise))}

    def examples(self, step: int, part: int) -> tuple[Columns, list[str]]:
        """Return the images of a part."""
        images = self._images(step, part)
        return [images], [""] * len(images)

    @torch.no_grad()
    def validate(self) -> tuple[Columns, list[str], dict[str, float]]:
        """Reconstruct fixed images."""
        size, rows = self.config.validation_size, self.config.num_validation
        images = self.source.images(0, rows, size, split="test")
        latents = self.autoencoder.encode(images).latents
        outputs = self.autoencoder.decode(latents).sample.clamp(-1, 1)
        return [images, outputs], [""] * rows, {"psnr_db": psnr_db(outputs, images)}

    def export(self, folder: Path, card: str) -> None:
        """Save the autoencoder in diffusers' format; it is a part, and gets no card."""
        self.autoencoder.save_pretrained(folder)

    def _images(self, step: int, part: int) -> Tensor:
        size = draw_size(self.config, step)
        return self.source.images(step, self.config.batch_size, size, part=part)
