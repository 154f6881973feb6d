"""The models that benchmarks run: one by name, or an architecture with random weights.

`sd15` is the UNet, autoencoder and text encoder of Stable Diffusion 1.5's InstructPix2Pix with
random weights: the same arithmetic on the same shapes, where no checkpoint can be fetched; its
pictures mean nothing. `sd15-tiny` has the same layers with few channels, for dry runs.
Tests: tests/benchmarks/test_models.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from fairy.editing.pipeline import FairyPipeline
from fairy.models.registry import resolve_device, resolve_dtype
from fairy.training.tokenizer import load_tokenizer, write_tokenizer

INSTRUCTION = "make it snow"
NUM_LEVELS = 4


@dataclass(frozen=True)
class Architecture:
    """The sizes of a Stable Diffusion 1.5 pipeline; defaults are its own.

    Attributes:
        unet_channels: of the UNet's four levels.
        heads: of attention, at every level.
        vae_channels: of the autoencoder's four levels.
        norm_groups: of the group norms.
        text_width: of the text encoder, and of the UNet's cross-attention.
        text_layers: of the text encoder.
        text_heads: of the text encoder.
        text_tokens: to which instructions are padded.
        vocabulary: tokens that the text encoder has embeddings for.
    """

    unet_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    heads: int = 8
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)
    norm_groups: int = 32
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    text_tokens: int = 77
    vocabulary: int = 49408


TINY = Architecture(
    unet_channels=(16, 32, 32, 32),
    heads=2,
    vae_channels=(8, 8, 16, 16),
    norm_groups=4,
    text_width=16,
    text_layers=1,
    text_heads=2,
    vocabulary=1024,
)
ARCHITECTURES = {"sd15": Architecture(), "sd15-tiny": TINY}


def load_model(name: str, device: str = "auto", dtype: str = "auto") -> FairyPipeline:
    """Return a model of `ARCHITECTURES` with random weights, or any that `fairy edit` takes."""
    if name not in ARCHITECTURES:
        return FairyPipeline.from_pretrained(name, device=device, dtype=dtype)
    where = resolve_device(device)
    return build(ARCHITECTURES[name], where, resolve_dtype(dtype, where))


def has_random_weights(name: str) -> bool:
    """Return whether the model's pictures mean nothing."""
    return name in ARCHITECTURES


def build(sizes: Architecture, device: torch.device, dtype: torch.dtype) -> FairyPipeline:
    """Build the pipeline with weights from one seed."""
    tokenizer = _tokenizer(sizes.text_tokens)
    with torch.random.fork_rng(), _made(device, dtype):
        torch.manual_seed(0)
        vae, unet, text = _vae(sizes), _unet(sizes), _text_encoder(sizes, tokenizer)
    return FairyPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=EulerAncestralDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="trailing",
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@contextmanager
def _made(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Make tensors on `device` and in `dtype` in this block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(before)


def _unet(sizes: Architecture) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=8,
        out_channels=4,
        block_out_channels=sizes.unet_channels,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        layers_per_block=2,
        cross_attention_dim=sizes.text_width,
        # diffusers' name for the number of heads
        attention_head_dim=sizes.heads,
        norm_num_groups=sizes.norm_groups,
    ).eval()


def _vae(sizes: Architecture) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=sizes.vae_channels,
        down_block_types=("DownEncoderBlock2D",) * NUM_LEVELS,
        up_block_types=("UpDecoderBlock2D",) * NUM_LEVELS,
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=sizes.norm_groups,
        sample_size=512,
    ).eval()


def _text_encoder(sizes: Architecture, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.text_width,
        intermediate_size=4 * sizes.text_width,
        num_hidden_layers=sizes.text_layers,
        num_attention_heads=sizes.text_heads,
        max_position_embeddings=sizes.text_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config).eval()


def _tokenizer(text_tokens: int) -> CLIPTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer([INSTRUCTION], Path(folder), text_tokens)
        return load_tokenizer(Path(folder))
