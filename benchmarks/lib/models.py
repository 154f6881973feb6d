"""The models that benchmarks run: any model by name, or an architecture with random weights.

`sd15` is the UNet, autoencoder and text encoder of Stable Diffusion 1.5's InstructPix2Pix with
random weights. It needs no checkpoint and does the same arithmetic on the same shapes, but its
pictures mean nothing. `sd15-tiny` has the same levels with few layers and channels, for dry runs.
Tests: tests/benchmarks/lib/test_models.py.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from diffusers import EulerAncestralDiscreteScheduler
from transformers import CLIPTokenizer

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.models.blueprint import SD15, Blueprint
from fairy.models.registry import resolve_device, resolve_dtype
from fairy.training.model.tokenizer import load_tokenizer, write_tokenizer

INSTRUCTION = "make it snow"
TEXT_TOKENS = 77
SPECIAL = ("bos", "eos", "pad")
# attention_head_dim is diffusers' name for the number of heads
TINY = {
    "unet": SD15["unet"].changed(
        block_out_channels=(16, 32, 32, 32),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    ),
    "vae": SD15["vae"].changed(
        block_out_channels=(8, 8, 16, 16), layers_per_block=1, norm_num_groups=4
    ),
    "text_encoder": SD15["text_encoder"].changed(
        vocab_size=1024,
        hidden_size=16,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        projection_dim=16,
    ),
}
ARCHITECTURES = {"sd15": SD15, "sd15-tiny": TINY}


def load_model(name: str, device: str = "auto", dtype: str = "auto") -> FairyPipeline:
    """Return a model of `ARCHITECTURES` with random weights, or any model of `fairy edit`."""
    if name not in ARCHITECTURES:
        return FairyPipeline.from_pretrained(name, device=device, dtype=dtype)
    where = resolve_device(device)
    return build(ARCHITECTURES[name], where, resolve_dtype(dtype, where))


def has_random_weights(name: str) -> bool:
    """Return whether the model's pictures mean nothing."""
    return name in ARCHITECTURES


def build(parts: dict[str, Blueprint], device: torch.device, dtype: torch.dtype) -> FairyPipeline:
    """Build the pipeline with weights from one seed."""
    tokenizer = _tokenizer()
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in SPECIAL}
    parts = {**parts, "text_encoder": parts["text_encoder"].changed(**ids)}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        models = {name: part.build(dtype, device) for name, part in parts.items()}
    return FairyPipeline(
        **models,
        tokenizer=tokenizer,
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


def _tokenizer() -> CLIPTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer([INSTRUCTION], Path(folder), TEXT_TOKENS)
        return load_tokenizer(Path(folder))
