"""A tiny InstructPix2Pix pipeline with random weights: every component is real, but small.

Its edits mean nothing. The method's properties (equal to diffusers' own, independent of batches,
anchors used) hold for any weights, so tests use these.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    EulerAncestralDiscreteScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from fairy.models.patch_autoencoder import PatchAutoencoder

MAX_TOKENS = 32
MakePipeline = Callable[[], StableDiffusionInstructPix2PixPipeline]


# As in Stable Diffusion 1.5
SCHEDULE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "trailing",
}
# As in `mini`: the text also scales and shifts every residual block
TEXT_IN_BLOCKS: dict[str, Any] = {
    "addition_embed_type": "text",
    "addition_embed_type_num_heads": 2,
    "resnet_time_scale_shift": "scale_shift",
}


def make_tiny_pipeline(seed: int = 0) -> StableDiffusionInstructPix2PixPipeline:
    """Return it in float32 on the CPU: latents (4, H/2, W/2), attention at both levels."""
    return _assemble(seed, _vae, EulerAncestralDiscreteScheduler(**SCHEDULE))


def make_tiny_mini(seed: int = 0) -> StableDiffusionInstructPix2PixPipeline:
    """Return a tiny model like `mini`: it predicts the clean latents of blocks of 2x2 pixels."""
    scheduler = DDPMScheduler(
        **SCHEDULE, rescale_betas_zero_snr=True, prediction_type="sample", clip_sample=False
    )
    return _assemble(seed, make_tiny_autoencoder, scheduler, **TEXT_IN_BLOCKS)


def make_tiny_autoencoder(latent_channels: int = 4, patch_size: int = 2) -> PatchAutoencoder:
    """Return an autoencoder with a random orthonormal code and a random correction."""
    num_levels = patch_size.bit_length()
    autoencoder = PatchAutoencoder(
        latent_channels,
        patch_size,
        hidden_channels=8,
        depth=1,
        block_out_channels=(8,) * num_levels,
    )
    size = 3 * patch_size**2
    components = torch.linalg.qr(torch.randn(size, size))[0][:, :latent_channels]
    autoencoder.set_code(0.1 * torch.randn(size), components, torch.rand(latent_channels) + 0.5)
    torch.nn.init.normal_(autoencoder.correction.conv_out.weight, std=0.02)
    return autoencoder.eval()


def make_tiny_sample_pipeline(seed: int = 0) -> StableDiffusionInstructPix2PixPipeline:
    """Return a pipeline whose UNet predicts the clean sample, with the text in every block."""
    pipe = make_tiny_pipeline(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipe.unet = UNet2DConditionModel.from_config(pipe.unet.config, **TEXT_IN_BLOCKS).eval()
    pipe.scheduler = DDPMScheduler(
        beta_schedule="scaled_linear",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
    )
    return pipe


def save_tiny_pipeline(
    folder: str | Path, *, make: MakePipeline = make_tiny_pipeline, **defaults: object
) -> Path:
    """Save the pipeline as a diffusers folder; `defaults` become its fairy.json (none: no file)."""
    folder = Path(folder)
    make().save_pretrained(folder)
    if defaults:
        (folder / "fairy.json").write_text(json.dumps(defaults))
    return folder


def save_model_that_knows(folder: Path, *instructions: str) -> Path:
    """Save the pipeline at 32 px and two steps, with the words of snow and night."""
    return save_tiny_pipeline(
        folder,
        size=32,
        num_inference_steps=2,
        words=["make", "it", "snow", "night"],
        instructions=list(instructions),
    )


def make_frames(num_frames: int, height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    """Return random, spatially smooth frames, uint8 (T,H,W,3), each different from the others."""
    coarse = torch.rand(num_frames, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()


def assert_same_frames(frames: np.ndarray, expected: np.ndarray) -> None:
    """Check that frames (T,H,W,3) are equal up to one level of 255.

    Two runs over the same numbers may differ in the last bit of a float, because a matrix library's
    rounding can depend on how its buffers are aligned. A value may then round to the next level.
    """
    assert frames.shape == expected.shape
    assert np.abs(frames.astype(int) - expected.astype(int)).max() <= 1


def _assemble(
    seed: int, make_vae: Callable[[], torch.nn.Module], scheduler: Any, **unet_settings: Any
) -> StableDiffusionInstructPix2PixPipeline:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return StableDiffusionInstructPix2PixPipeline(
            vae=make_vae(),
            text_encoder=_text_encoder(),
            tokenizer=_tokenizer(),
            unet=_unet(**unet_settings),
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
    ).eval()


def _unet(**settings: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=8,
        out_channels=4,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        layers_per_block=1,
        cross_attention_dim=16,
        # diffusers' name for the number of heads
        attention_head_dim=2,
        norm_num_groups=4,
        **settings,
    ).eval()


def _text_encoder() -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return CLIPTextModel(config).eval()


def _vocabulary() -> dict[str, int]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(c + "</w>" for c in letters)]
    return {token: index for index, token in enumerate(tokens)}


def _tokenizer() -> CLIPTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "vocab.json").write_text(json.dumps(_vocabulary()))
        Path(folder, "merges.txt").write_text("#version: 0.2\n")
        return CLIPTokenizer.from_pretrained(folder, model_max_length=MAX_TOKENS)
