"""The two things that can be trained, each as: a model, its loss, its pictures, its export.

Images (B,3,H,W) in [-1,1], latents (B,C,h,w). Tests: tests/training/test_stages.py.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import torch
from diffusers import AutoencoderTiny, StableDiffusionInstructPix2PixPipeline
from torch import Tensor, nn

from fairy.config import TrainConfig
from fairy.errors import ModelError
from fairy.training import loss as losses
from fairy.training.build import (
    build_autoencoder,
    build_noise_scheduler,
    build_sampler,
    build_text_encoder,
    build_unet,
)
from fairy.training.data import PairSource, draw_size
from fairy.training.export import export_pipeline
from fairy.training.phrases import all_phrases
from fairy.training.principal import write_encoder
from fairy.training.seeding import generator
from fairy.training.tokenizer import load_tokenizer, write_tokenizer


class Stage(Protocol):
    """What the trainer needs of a stage. `model` is what is optimised and averaged."""

    model: nn.Module

    def loss(self, model: nn.Module, step: int) -> dict[str, Tensor]:
        """Return scalar losses of a step; "loss" is the one to minimise.

        `model` is `self.model` as wrapped for the machine (mixed precision, processes).
        """

    def validate(self) -> tuple[list[Tensor], list[str], dict[str, float]]:
        """Return a sheet's columns (B,3,H,W) in [-1,1], its rows' labels, and metrics."""

    def export(self, folder: Path) -> None:
        """Write the finished model into `folder`."""


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

    def __init__(self, config: TrainConfig, source: PairSource) -> None:
        self.config = config
        self.source = source
        self.autoencoder = build_autoencoder(config).to(source.device)
        # Steps below zero, so that these images are not seen again. 512 crops of 64x64 hold
        # 131,072 blocks of 4x4, for 48 x 48 covariances.
        batches = range(-1, -1 - math.ceil(config.num_component_images / 32), -1)
        images = [source.images(step, 32, config.sizes[0]) for step in batches]
        write_encoder(self.autoencoder, torch.cat(images))
        self.model: nn.Module = AutoencoderModel(self.autoencoder, config.latent_noise)

    def loss(self, model: nn.Module, step: int) -> dict[str, Tensor]:
        """Reconstruction loss of the step's images."""
        config, source = self.config, self.source
        size = draw_size(config, step)
        images = source.images(step, config.batch_size, size)
        gen = generator(config.seed, step, "latents", rank=source.rank)
        grid = 2 ** (len(config.decoder_blocks) - 1)
        shape = (len(images), config.latent_channels, size[0] // grid, size[1] // grid)
        noise = torch.randn(shape, generator=gen).to(source.device)
        return {"loss": losses.reconstruction_loss(images, model(images, noise))}

    @torch.no_grad()
    def validate(self) -> tuple[list[Tensor], list[str], dict[str, float]]:
        """Reconstruct fixed images."""
        size, rows = self.config.validation_size, self.config.num_validation
        images = self.source.images(0, rows, size, split="test")
        latents = self.autoencoder.encode(images).latents
        outputs = self.autoencoder.decode(latents).sample.clamp(-1, 1)
        return [images, outputs], [""] * rows, {"psnr_db": psnr_db(outputs, images)}

    def export(self, folder: Path) -> None:
        """Save the autoencoder in diffusers' format."""
        self.autoencoder.save_pretrained(folder)


class EditorModel(nn.Module):
    """The parts that learn to edit: a UNet and a text encoder."""

    def __init__(self, unet: nn.Module, text_encoder: nn.Module) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder

    def forward(
        self, noisy: Tensor, image_latents: Tensor, timesteps: Tensor, token_ids: Tensor
    ) -> Tensor:
        """Predict the velocity (B,C,h,w); latents (B,C,h,w), timesteps (B,), token_ids (B,L)."""
        prompt_embeds = self.text_encoder(token_ids)[0]
        latents = torch.cat([noisy, image_latents], dim=1)
        prediction: Tensor = self.unet(latents, timesteps, prompt_embeds, return_dict=False)[0]
        return prediction


class EditorStage:
    """Learns to edit in the latents of a frozen autoencoder."""

    def __init__(self, config: TrainConfig, source: PairSource) -> None:
        self.config = config
        self.source = source
        self.autoencoder = _load_autoencoder(config).to(source.device)
        latent_channels = int(self.autoencoder.config["latent_channels"])
        self.grid = 2 ** (len(self.autoencoder.config["block_out_channels"]) - 1)
        tokenizer_folder = config.output / "tokenizer"
        # A resumed run keeps the vocabulary that it began with.
        if not (config.resume and tokenizer_folder.is_dir()):
            write_tokenizer(all_phrases(), tokenizer_folder, config.text_tokens)
        self.tokenizer_folder = tokenizer_folder
        self.tokenizer = load_tokenizer(tokenizer_folder)
        self.text_encoder = build_text_encoder(config, self.tokenizer).to(source.device)
        self.unet = build_unet(config, latent_channels, config.edit_size // self.grid)
        self.unet.to(source.device)
        self.noise_scheduler = build_noise_scheduler()
        self.model: nn.Module = EditorModel(self.unet, self.text_encoder)

    def loss(self, model: nn.Module, step: int) -> dict[str, Tensor]:
        """Velocity loss of the step's pairs, some without instruction or source image."""
        config, source = self.config, self.source
        repeats = config.draws_per_pair
        batch = source.pairs(step, config.batch_size // repeats, draw_size(config, step))
        pairs = self._latents(torch.cat([batch.source, batch.target]))
        image_latents, latents = (half.repeat(repeats, 1, 1, 1) for half in pairs.chunk(2))
        gen = generator(config.seed, step, "noise", rank=source.rank)
        timesteps = losses.draw_timesteps(len(latents), config.timestep_power, gen)
        timesteps = timesteps.to(source.device)
        noise = torch.randn(latents.shape, generator=gen).to(source.device)
        texts, keep_image = self._drop_conditions(batch.instructions * repeats, gen)
        prediction = model(
            self.noise_scheduler.add_noise(latents, noise, timesteps),
            image_latents * keep_image,
            timesteps,
            self._token_ids(texts),
        )
        velocity = self.noise_scheduler.get_velocity(latents, noise, timesteps)
        weights = losses.change_weights(image_latents, latents, config.change_share)
        return {"loss": losses.velocity_loss(prediction, velocity, weights)}

    @torch.no_grad()
    def validate(self) -> tuple[list[Tensor], list[str], dict[str, float]]:
        """Edit fixed pairs with phrasings kept from training."""
        config = self.config
        batch = self.source.pairs(0, config.num_validation, config.validation_size, split="test")
        pipeline = self.pipeline()
        pipeline.set_progress_bar_config(disable=True)
        outputs = pipeline(
            batch.instructions,
            image=(batch.source + 1) / 2,
            num_inference_steps=config.num_inference_steps,
            guidance_scale=config.guidance_scale,
            image_guidance_scale=config.image_guidance_scale,
            generator=generator(config.seed, 0, "validation"),
            output_type="pt",
        ).images
        outputs = outputs * 2 - 1
        metrics = {"psnr_db": psnr_db(outputs, batch.target)}
        return [batch.source, batch.target, outputs], batch.instructions, metrics

    def export(self, folder: Path) -> None:
        """Write the full pipeline."""
        export_pipeline(self.pipeline(), self.config, self.tokenizer_folder, folder)

    def pipeline(self) -> StableDiffusionInstructPix2PixPipeline:
        """Return diffusers' pipeline over the parts as they are now."""
        return StableDiffusionInstructPix2PixPipeline(
            vae=self.autoencoder,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=build_sampler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    @torch.no_grad()
    def _latents(self, images: Tensor) -> Tensor:
        latents: Tensor = self.autoencoder.encode(images).latents
        return latents

    def _drop_conditions(self, texts: list[str], gen: torch.Generator) -> tuple[list[str], Tensor]:
        """Blank some instructions; return them, and (B,1,1,1) that is False for lost images."""
        config = self.config
        drop_text, drop_image = losses.draw_drops(
            len(texts), config.drop_text, config.drop_image, config.drop_both, gen
        )
        kept = ["" if drop else t for drop, t in zip(drop_text.tolist(), texts, strict=True)]
        return kept, (~drop_image).to(self.source.device)[:, None, None, None]

    def _token_ids(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer(
            texts,
            padding="max_length",
            max_length=self.config.text_tokens,
            truncation=True,
            return_tensors="pt",
        )
        token_ids: Tensor = tokens.input_ids
        return token_ids.to(self.source.device)


def build_stage(config: TrainConfig, source: PairSource) -> Stage:
    """Build the stage that the recipe names, with random weights."""
    return (AutoencoderStage if config.stage == "autoencoder" else EditorStage)(config, source)


def psnr_db(outputs: Tensor, targets: Tensor) -> float:
    """Return the mean over images of the peak signal-to-noise ratio; inputs in [-1,1]."""
    error = ((outputs - targets) / 2).square().mean((1, 2, 3)).clamp_min(1e-10)
    return float((-10 * error.log10()).mean())


def _load_autoencoder(config: TrainConfig) -> AutoencoderTiny:
    """Load the frozen autoencoder."""
    assert config.autoencoder is not None
    if not (config.autoencoder / "config.json").is_file():
        raise ModelError(
            f"{config.autoencoder}: no autoencoder there; train one with "
            "`fairy train mini-autoencoder` and name its folder"
        )
    autoencoder = AutoencoderTiny.from_pretrained(str(config.autoencoder), use_safetensors=True)
    return autoencoder.requires_grad_(False).eval()
