"""The stage that learns to edit, in the latents of a frozen autoencoder: new editors and finetuned.

A batch of B rows holds D noised copies of P pairs as F frames each, B = D*P*F, row (d*P+p)*F+f; all
frames of a copy share noise, timestep and lost conditions, as in an edit. On images F is 1.
Images (B,3,H,W) in [-1,1], latents (B,C,h,w). Tests: tests/training/test_editor.py.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMScheduler, StableDiffusionInstructPix2PixPipeline
from torch import Tensor, nn

from fairy.editors.ip2p.latents import encode_images
from fairy.training import loss as losses
from fairy.training.clip_attention import ClipLayout, image_attention, install_clip_attention
from fairy.training.config import TrainConfig
from fairy.training.data import affine
from fairy.training.data.pairs import (
    PairBatch,
    PairSource,
    draw_size,
    edited_after_motion,
    loaded_size,
)
from fairy.training.model.editor_parts import EditorParts
from fairy.training.model.export import export_pipeline
from fairy.training.run.contact_sheet import Columns
from fairy.training.run.seeding import generator


class EditorModel(nn.Module):
    """The parts that run under gradients: a UNet and a text encoder."""

    def __init__(self, unet: nn.Module, text_encoder: nn.Module) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder

    def forward(
        self, noisy: Tensor, image_latents: Tensor, timesteps: Tensor, token_ids: Tensor
    ) -> Tensor:
        """Predict noise or velocity (B,C,h,w).

        Args:
            noisy: latents (B,C,h,w) with noise.
            image_latents: the sources', (B,C,h,w).
            timesteps: (B,).
            token_ids: (B,L).
        """
        prompt_embeds = self.text_encoder(token_ids)[0]
        latents = torch.cat([noisy, image_latents], dim=1)
        prediction: Tensor = self.unet(latents, timesteps, prompt_embeds, return_dict=False)[0]
        return prediction


class EditorStage:
    """Learns to edit, on images or on pseudo-clips with anchor attention."""

    def __init__(self, config: TrainConfig, source: PairSource, parts: EditorParts) -> None:
        self.config = config
        self.source = source
        self.parts = parts
        self.pipeline: StableDiffusionInstructPix2PixPipeline = parts.pipeline.to(source.device)
        self.pipeline.set_progress_bar_config(disable=True)
        self.noise_scheduler = DDPMScheduler.from_config(self.pipeline.scheduler.config)
        unet = self.pipeline.unet
        if config.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        if config.clip_frames > 1:
            layout = ClipLayout.even(config.clip_frames, config.clip_anchors)
            install_clip_attention(unet, layout)
        self.model: nn.Module = EditorModel(unet, self.pipeline.text_encoder)

    def loss(self, model: nn.Module, step: int, part: int) -> dict[str, Tensor]:
        """Denoising loss of the step's pairs, some without instruction or source image."""
        config, device = self.config, self.source.device
        batch = self._pairs(step, part)
        image_latents, latents = self._latents(batch)
        gen = generator(config.seed, step, "noise", part=part)
        copies = len(latents) // config.clip_frames
        timesteps = self._frames(losses.draw_timesteps(copies, config.timestep_power, gen))
        noise = self._frames(torch.randn((copies, *latents.shape[1:]), generator=gen))
        drop_text, drop_image = losses.draw_drops(
            copies, config.drop_text, config.drop_image, config.drop_both, gen
        )
        texts = self._drop_texts(batch.instructions * config.draws_per_pair, drop_text)
        keep_image = self._frames(~drop_image)[:, None, None, None]
        prediction = model(
            self.noise_scheduler.add_noise(latents, noise, timesteps),
            image_latents * keep_image,
            timesteps,
            self._token_ids(texts).to(device),
        )
        weights = losses.change_weights(image_latents, latents, config.change_share)
        wanted = self._wanted(latents, noise, timesteps)
        return {"loss": losses.denoising_loss(prediction, wanted, weights)}

    def examples(self, step: int, part: int) -> tuple[Columns, list[str]]:
        """Return source and target of a part's pairs, as they are learnt."""
        batch = self._pairs(step, part)
        return [batch.source, batch.target], batch.instructions

    @torch.no_grad()
    def validate(self) -> tuple[Columns, list[str], dict[str, float]]:
        """Edit fixed pairs that training does not see."""
        config = self.config
        batch = self.source.pairs(0, config.num_validation, config.validation_size, split="test")
        with image_attention(self.pipeline.unet):
            outputs = self.pipeline(
                batch.instructions,
                image=(batch.source + 1) / 2,
                num_inference_steps=config.num_inference_steps,
                guidance_scale=config.guidance_scale,
                image_guidance_scale=config.image_guidance_scale,
                generator=generator(config.seed, 0, "validation"),
                output_type="pt",
            ).images
        outputs = outputs * 2 - 1
        metrics = {"psnr_db": losses.psnr_db(outputs, batch.target)}
        return [batch.source, batch.target, outputs], batch.instructions, metrics

    def export(self, folder: Path, card: str) -> None:
        """Write the full pipeline."""
        with image_attention(self.pipeline.unet):
            export_pipeline(self.parts, folder, card)

    def _pairs(self, step: int, part: int) -> PairBatch:
        """Return P pairs as P*F frames, moved and cropped where the recipe says so."""
        config = self.config
        num_pairs = config.batch_size // config.rows_per_pair
        batch = self.source.pairs(step, num_pairs, loaded_size(config, step), part=part)
        if not affine.moves(config):
            return batch
        gen = generator(config.seed, step, "affine", part=part)
        size = draw_size(config, step)
        source, target = affine.move_pairs(batch.source, batch.target, size, config, gen)
        texts, names = (
            [word for word in words for _ in range(config.clip_frames)]
            for words in (batch.instructions, batch.names)
        )
        return PairBatch(source, edited_after_motion(source, target, names), texts, names)

    @torch.no_grad()
    def _latents(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Return the sources' latents, not scaled, and the targets', scaled, D times (B,C,h,w)."""
        vae = self.pipeline.vae
        encoded = encode_images(vae, torch.cat([batch.source, batch.target]))
        copies = (self.config.draws_per_pair, 1, 1, 1)
        image_latents, latents = (half.repeat(copies) for half in encoded.chunk(2))
        return image_latents, latents * vae.config.scaling_factor

    def _wanted(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return what this kind of model predicts."""
        if self.noise_scheduler.config.prediction_type == "v_prediction":
            velocity: Tensor = self.noise_scheduler.get_velocity(latents, noise, timesteps)
            return velocity
        return noise

    def _frames(self, draws: Tensor) -> Tensor:
        """Give every frame of a copy (B/F,...) the same draw (B,...), on the model's device."""
        return draws.repeat_interleave(self.config.clip_frames, dim=0).to(self.source.device)

    def _drop_texts(self, texts: list[str], drop: Tensor) -> list[str]:
        """Blank the instructions of the copies that lose theirs."""
        dropped = drop.repeat_interleave(self.config.clip_frames).tolist()
        return ["" if drop else text for drop, text in zip(dropped, texts, strict=True)]

    def _token_ids(self, texts: list[str]) -> Tensor:
        tokenizer = self.pipeline.tokenizer
        tokens = tokenizer(
            texts,
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        token_ids: Tensor = tokens.input_ids
        return token_ids
