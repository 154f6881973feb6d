"""Fold a per-channel whitening of the latents into an autoencoder's 1x1 convolutions.

Afterwards latents have mean 0 and standard deviation 1 per channel over the sample, so that
`scaling_factor` is 1, while encode-decode gives what it gave before.
Tests: tests/training/test_whiten.py.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor


@torch.no_grad()
def whiten(autoencoder: AutoencoderKL, latents: Tensor) -> None:
    """Change `autoencoder` in place so that its latents are white.

    Args:
        autoencoder: with `quant_conv` and `post_quant_conv`.
        latents: (B,C,h,w), its own latents (the posterior's mode) of a sample of images.
    """
    mean = latents.mean((0, 2, 3))
    std = latents.std((0, 2, 3)).clamp_min(1e-4)
    encode, decode = autoencoder.quant_conv, autoencoder.post_quant_conv
    num_channels = len(mean)
    # quant_conv's outputs are C means, then C logarithms of variances.
    encode.weight[:num_channels] /= std[:, None, None, None]
    encode.bias[:num_channels] = (encode.bias[:num_channels] - mean) / std
    encode.bias[num_channels:] -= 2 * std.log()
    # decode(std * z + mean): the mean goes through the weights as they were.
    decode.bias += decode.weight[:, :, 0, 0] @ mean
    decode.weight *= std[None, :, None, None]
