"""The editor and finetune stages: train editing in the latents of a frozen autoencoder.

A batch has D noised copies of P pairs with F frames each: B = D*P*F rows, row (d*P+p)*F+f. All
frames of a copy share noise, timestep and dropped conditions, as in an edit. For images F is 1.
Images (B,3,H,W) in [-1,1], latents (B,C,h,w). Tests: tests/training/test_editor.py.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDPMScheduler, StableDiffusionInstructPix2PixPipeline
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from fairy.editors.ip2p.latents import encode_images
from fairy.errors import SettingsError
from fairy.models.patch_autoencoder import PatchAutoencoder
from fairy.synthetic.edits import EDITS_BY_NAME
from fairy.training import loss as losses
from fairy.training.clip_attention import ClipLayout, image_attention, install_clip_attention
from fairy.training.config import LAST_TIMESTEP, TrainConfig
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
    """The parts that run with gradients: a UNet and a text encoder."""

    def __init__(self, unet: nn.Module, text_encoder: nn.Module) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder

    def forward(
        self, noisy: Tensor, image_latents: Tensor, timesteps: Tensor, token_ids: Tensor
    ) -> Tensor:
        """Predict clean latents, noise or velocity (B,C,h,w), depending on the model.

        Args:
            noisy: latents (B,C,h,w) with noise.
            image_latents: latents (B,C,h,w) of the sources.
            timesteps: (B,).
            token_ids: (B,L).
        """
        # The UNet's weights may be bf16 while an untrained text encoder is float32.
        dtype = next(self.unet.parameters()).dtype
        prompt_embeds = self.text_encoder(token_ids)[0].to(dtype)
        latents = torch.cat([noisy, image_latents], dim=1).to(dtype)
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
        elif source.device.type == "cpu":
            # torch's fused attention has a slow backward pass on CPUs.
            unet.set_attn_processor(AttnProcessor())
        self.channel_weights = self._channel_weights()
        if config.own_guess_share and self.noise_scheduler.config.prediction_type != "sample":
            raise SettingsError(
                "own_guess_share is for models that predict the clean latents; set it to 0"
            )
        self.model: nn.Module = EditorModel(unet, self.pipeline.text_encoder)

    def loss(self, model: nn.Module, step: int, part: int) -> dict[str, Tensor]:
        """Denoising loss of the step's pairs, some without instruction or source image."""
        config = self.config
        batch = self._pairs(step, part)
        image_latents, latents = self._latents(batch)
        gen = generator(config.seed, step, "noise", part=part)
        copies = len(latents) // config.clip_frames
        is_open = self._is_open(batch)
        timesteps = self._frames(self._timesteps(is_open, gen))
        noise = self._frames(torch.randn((copies, *latents.shape[1:]), generator=gen))
        drop_text, drop_image = losses.draw_drops(
            copies, config.drop_text, config.drop_image, config.drop_both, gen
        )
        texts = self._drop_texts(batch.instructions * config.draws_per_pair, drop_text)
        image_latents = image_latents * self._frames(~drop_image)[:, None, None, None]
        token_ids = self._token_ids(texts).to(self.source.device)
        start = latents
        if float(torch.rand((), generator=gen)) < config.own_guess_share:
            guessed = self._frames(~is_open) & (timesteps < LAST_TIMESTEP)
            start = self._own_guess(latents, image_latents, token_ids, guessed, gen)
        noisy = self.noise_scheduler.add_noise(start, noise, timesteps)
        prediction = model(noisy, image_latents, timesteps, token_ids)
        grid = self.pipeline.vae_scale_factor
        weights = losses.change_weights(
            batch.source, batch.target, grid, config.change_share, batch.objects
        )
        weights = weights.repeat(config.draws_per_pair, 1, 1, 1)
        target = self._target(latents, noise, timesteps)
        return {"loss": losses.denoising_loss(prediction, target, weights, self.channel_weights)}

    def examples(self, step: int, part: int) -> tuple[Columns, list[str]]:
        """Return source and target of a part's pairs, as the loss gets them."""
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

    def close(self) -> None:
        """Stop the processes or threads that make the pairs."""
        self.source.close()

    def _pairs(self, step: int, part: int) -> PairBatch:
        """Return P pairs as P*F frames, moved and cropped if the recipe says so."""
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
        """Return unscaled source latents and scaled target latents, D copies each, (B,C,h,w)."""
        vae = self.pipeline.vae
        encoded = encode_images(vae, torch.cat([batch.source, batch.target]))
        copies = (self.config.draws_per_pair, 1, 1, 1)
        image_latents, latents = (half.repeat(copies) for half in encoded.chunk(2))
        return image_latents, latents * vae.config.scaling_factor

    def _is_open(self, batch: PairBatch) -> Tensor:
        """Return which copies (B/F,) have one-to-many edits; none in pairs from other sources."""
        copies = len(batch.instructions) // self.config.clip_frames * self.config.draws_per_pair
        if not batch.names:
            return torch.zeros(copies, dtype=torch.bool)
        names = list(batch.names[:: self.config.clip_frames]) * self.config.draws_per_pair
        return torch.tensor([not EDITS_BY_NAME[name].deterministic for name in names])

    def _timesteps(self, is_open: Tensor, gen: torch.Generator) -> Tensor:
        """Draw the timestep of each copy (B/F,)."""
        config, copies = self.config, len(is_open)
        if not config.timestep_set:
            return losses.draw_timesteps(copies, config.timestep_power, gen)
        few = losses.draw_few_timesteps(
            config.timestep_set, config.timestep_jitter, config.pure_noise_share, copies, gen
        )
        open_ones = losses.draw_open_timesteps(config.open_pure_noise_share, copies, gen)
        return torch.where(is_open, open_ones, few)

    @torch.no_grad()
    def _own_guess(
        self,
        latents: Tensor,
        image_latents: Tensor,
        token_ids: Tensor,
        rows: Tensor,
        gen: torch.Generator,
    ) -> Tensor:
        """Replace latents (B,C,h,w) in some `rows` (B,) by the model's guess from pure noise.

        In sampling, the model gets such latents after the first step. A model trained only on true
        latents did worse with several steps than with one. The rows are whole clips.
        """
        if not rows.any():
            return latents
        copies = int(rows.sum()) // self.config.clip_frames
        noise = self._frames(torch.randn((copies, *latents.shape[1:]), generator=gen))
        timesteps = torch.full((len(noise),), LAST_TIMESTEP, device=latents.device)
        guess = self.model(noise, image_latents[rows], timesteps, token_ids[rows])
        mixed = latents.clone()
        mixed[rows] = guess.to(latents.dtype)
        return mixed

    def _target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return the target of this model's prediction type."""
        kind = self.noise_scheduler.config.prediction_type
        if kind == "sample":
            return latents
        if kind == "v_prediction":
            velocity: Tensor = self.noise_scheduler.get_velocity(latents, noise, timesteps)
            return velocity
        return noise

    def _channel_weights(self) -> Tensor | float:
        vae, power = self.pipeline.vae, self.config.channel_weight_power
        if not power:
            return 1.0
        if not isinstance(vae, PatchAutoencoder):
            raise SettingsError(
                "channel_weight_power is for models with a linear code, such as mini; set it to 0"
            )
        return losses.channel_weights(vae.deviations, power)

    def _frames(self, draws: Tensor) -> Tensor:
        """Repeat the draw of each copy (B/F,...) for its frames (B,...), on the model's device."""
        return draws.repeat_interleave(self.config.clip_frames, dim=0).to(self.source.device)

    def _drop_texts(self, texts: list[str], drop: Tensor) -> list[str]:
        """Return the instructions, with "" for copies whose instruction is dropped."""
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
