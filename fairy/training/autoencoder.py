"""The autoencoder stage: compute a linear code and train the decoder's correction.

Images (B,3,H,W) in [-1,1], latents (B,C,h,w). Tests: tests/training/run/test_trainer.py.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from fairy.models.patch_autoencoder import PatchAutoencoder
from fairy.training.config import TrainConfig
from fairy.training.data.pairs import ScenePairs, draw_size
from fairy.training.loss import psnr_db, reconstruction_loss
from fairy.training.model.build import build_autoencoder
from fairy.training.model.pca_encoder import fit_code
from fairy.training.model.start import start_code
from fairy.training.run.contact_sheet import Columns
from fairy.training.run.seeding import generator


class AutoencoderModel(nn.Module):
    """Reconstructs images from noisy latents; only the decoder's correction is trained."""

    def __init__(self, autoencoder: PatchAutoencoder, latent_noise: float) -> None:
        super().__init__()
        self.autoencoder = autoencoder.requires_grad_(False)
        self.autoencoder.correction.requires_grad_(True)
        self.latent_noise = latent_noise

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """Encode images (B,3,H,W), add noise (B,C,h,w), decode."""
        latents = self.autoencoder.encode(images).latents + self.latent_noise * noise
        outputs: Tensor = self.autoencoder.decode(latents).sample
        return outputs


class AutoencoderStage:
    """Fits the code to images, then trains the correction of its exact inverse."""

    def __init__(self, config: TrainConfig, source: ScenePairs) -> None:
        self.config = config
        self.source = source
        self.autoencoder = build_autoencoder(config).to(source.device)
        if config.start is not None:
            start_code(self.autoencoder, config.start)
        else:
            images = source.code_images(config.num_component_images, config.sizes[0])
            fit_code(self.autoencoder, images)
        self.model: nn.Module = AutoencoderModel(self.autoencoder, config.latent_noise)

    def loss(self, model: nn.Module, step: int, part: int) -> dict[str, Tensor]:
        """Reconstruction loss of the step's images."""
        config, source = self.config, self.source
        images = self._images(step, part)
        gen = generator(config.seed, step, "latents", part=part)
        size = images.shape[2] // config.patch_size, images.shape[3] // config.patch_size
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
        """Save the autoencoder in diffusers format, without a card, because it is only a part."""
        self.autoencoder.save_pretrained(folder)

    def close(self) -> None:
        """Close the source of the images."""
        self.source.close()

    def _images(self, step: int, part: int) -> Tensor:
        size = draw_size(self.config, step)
        return self.source.images(step, self.config.batch_size, size, part=part)
