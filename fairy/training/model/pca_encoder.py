"""The encoder in closed form: principal components of pixel blocks, as convolution weights.

Blocks of f x f pixels are rotated onto their principal components and the first C are kept; of all
linear codes of that length this loses least. The convolutions of an `AutoencoderTiny` without
encoder blocks compute exactly that: each stride-2 convolution moves 2x2 pixels into channels, the
last one rotates. Images (B,3,H,W) in [-1,1]; latents (B,C,H/f,W/f).
Tests: tests/training/model/test_pca_encoder.py.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn


@torch.no_grad()
def write_encoder(autoencoder: AutoencoderTiny, images: Tensor) -> None:
    """Set the encoder's weights in place from a sample of images.

    The first latent channel has standard deviation 1 over the sample; that of the others falls
    with the square root of their component's. A full whitening would ask the editor to spend
    as much on the faintest detail as on brightness.

    Args:
        autoencoder: built with no encoder blocks and 3 f^2 encoder channels.
        images: (B,3,H,W) in [-1,1], sides multiples of f.
    """
    *gather, rotate = (
        layer for layer in autoencoder.encoder.layers if isinstance(layer, nn.Conv2d)
    )
    _write_gather(gather)
    blocks = nn.Sequential(*gather)((images + 1) / 2).permute(0, 2, 3, 1).flatten(0, 2)
    mean = blocks.mean(0)
    variances, components = torch.linalg.eigh((blocks - mean).T.cov())
    order = variances.argsort(descending=True)[: rotate.out_channels]
    std = variances[order].clamp_min(1e-8).sqrt()
    basis = components[:, order].T * ((std / std[0]).sqrt() / std)[:, None]
    assert rotate.bias is not None
    rotate.weight.zero_()
    rotate.weight[:, :, 1, 1] = basis
    rotate.bias.copy_(-basis @ mean)


def _write_gather(layers: list[nn.Conv2d]) -> None:
    """Make the layers collect each f x f block of pixels into 3 f^2 channels."""
    for layer in layers:
        layer.weight.zero_()
    first, *halvings = layers
    assert first.bias is not None
    first.bias.zero_()
    for channel in range(3):
        first.weight[channel, channel, 1, 1] = 1
    channels = 3
    for layer in halvings:
        for channel in range(channels):
            # With padding 1 and stride 2, taps 1 and 2 lie on the block's own two pixels.
            for tap, (row, column) in enumerate([(1, 1), (1, 2), (2, 1), (2, 2)]):
                layer.weight[4 * channel + tap, channel, row, column] = 1
        channels *= 4
