"""Build the parts of a small InstructPix2Pix-type model, in the sizes of a TrainConfig.

Latents are (B,C,h,w) with h = H/8 for the bundled model. The UNet predicts the clean latents, which
trains fastest for few steps and deterministic edits. All parts except the autoencoder are classes
of diffusers and transformers.
Tests: tests/training/model/test_build.py.
"""

from __future__ import annotations

from typing import Any

from diffusers import DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from fairy.models.patch_autoencoder import PatchAutoencoder
from fairy.training.config import TrainConfig

# SD 1.5's betas. With zero terminal SNR (Lin et al. 2024) the last step is pure noise, so edits
# that change the whole image's brightness ("night", "negative") can be learned and sampled.
NOISE_SCHEDULE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "rescale_betas_zero_snr": True,
    "prediction_type": "sample",
    "clip_sample": False,
}


def build_autoencoder(config: TrainConfig) -> PatchAutoencoder:
    """Build the autoencoder; `fairy.training.model.pca_encoder` sets its code."""
    num_levels = config.patch_size.bit_length()
    autoencoder: PatchAutoencoder = PatchAutoencoder(
        config.latent_channels,
        config.patch_size,
        config.correction_channels,
        config.correction_depth,
        # diffusers uses only its length.
        block_out_channels=(3 * config.patch_size**2,) * num_levels,
    )
    return autoencoder


def build_unet(config: TrainConfig, latent_channels: int, latent_size: int) -> UNet2DConditionModel:
    """Build the UNet: self- and cross-attention at every resolution, as in SD 1.5.

    Its input is the noisy latents stacked with the source's latents: (B,2C,h,w) -> (B,C,h,w).
    The instruction also scales and shifts every residual block (FiLM, Perez et al. 2018), because
    its embedding is added to the timestep's.
    """
    num_levels = len(config.unet_channels)
    return UNet2DConditionModel(
        sample_size=latent_size,
        in_channels=2 * latent_channels,
        out_channels=latent_channels,
        down_block_types=("CrossAttnDownBlock2D",) * num_levels,
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D",) * num_levels,
        block_out_channels=config.unet_channels,
        layers_per_block=1,
        cross_attention_dim=config.text_width,
        norm_num_groups=config.unet_norm_groups,
        # In diffusers' UNet, `attention_head_dim` is the number of heads per level.
        attention_head_dim=tuple(channels // config.head_dim for channels in config.unet_channels),
        addition_embed_type="text",
        addition_embed_type_num_heads=config.text_heads,
        resnet_time_scale_shift="scale_shift",
    )


def build_text_encoder(config: TrainConfig, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Build the text encoder: (B,L) token ids -> (B,L,text_width)."""
    text_config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.text_width,
        intermediate_size=4 * config.text_width,
        projection_dim=config.text_width,
        num_hidden_layers=config.text_layers,
        num_attention_heads=config.text_heads,
        max_position_embeddings=config.text_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(text_config)


def build_sampler() -> DDPMScheduler:
    """Build the model's scheduler; trailing spacing wastes none of a few steps."""
    return DDPMScheduler(**NOISE_SCHEDULE, timestep_spacing="trailing")
