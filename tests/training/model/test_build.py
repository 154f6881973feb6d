"""The parts have InstructPix2Pix's shapes and a size that can be shipped."""

from __future__ import annotations

from pathlib import Path

import torch

from fairy.training.model.build import build_autoencoder, build_unet
from fairy.training.recipe import load_recipe


def test_mini_fits_in_42_megabytes(tmp_path: Path) -> None:
    config = load_recipe("mini-base", {"output": tmp_path, "autoencoder": tmp_path})
    with torch.device("meta"):
        parts = build_unet(config, config.latent_channels, 32), build_autoencoder(config)
    num_weights = sum(p.numel() for part in parts for p in part.parameters())
    # Half precision; 2 MB are left for the text encoder and the vocabulary.
    assert 2 * num_weights < 39e6


def test_every_resolution_has_self_and_cross_attention(tmp_path: Path) -> None:
    config = load_recipe("mini-base", {"output": tmp_path, "autoencoder": tmp_path})
    with torch.device("meta"):
        unet = build_unet(config, config.latent_channels, 32)
    for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        transformer = block.attentions[0].transformer_blocks[0]
        assert transformer.attn1.to_k.in_features == transformer.attn1.to_q.in_features
        assert transformer.attn2.to_k.in_features == config.text_width
        assert transformer.attn1.to_q.out_features // transformer.attn1.heads == config.head_dim
