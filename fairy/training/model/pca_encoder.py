"""The linear code in closed form: the principal components of pixel blocks.

Blocks of p x p pixels are projected onto their first C principal components. No other linear code
of that length loses less. Images (B,3,H,W) in [-1,1].
Tests: tests/training/model/test_pca_encoder.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.models.patch_autoencoder import PatchAutoencoder

# A component with less variance is float32 noise, which scaling would amplify.
LEAST_VARIANCE = 1e-9


@torch.no_grad()
def fit_code(autoencoder: PatchAutoencoder, images: Tensor) -> None:
    """Set the autoencoder's code in place from a sample of images.

    Args:
        autoencoder: its latents get mean 0 and variance 1 over the sample, uncorrelated.
        images: (B,3,H,W) in [-1,1], sides multiples of the block.
    """
    patch, channels = autoencoder.config.patch_size, autoencoder.config.latent_channels
    blocks = F.pixel_unshuffle(images, patch).permute(0, 2, 3, 1).flatten(0, 2).double()
    mean = blocks.mean(0)
    variances, components = torch.linalg.eigh((blocks - mean).T.cov())
    order = variances.argsort(descending=True)[:channels]
    deviations = variances[order].clamp_min(LEAST_VARIANCE).sqrt()
    autoencoder.set_code(*(part.float() for part in (mean, components[:, order], deviations)))
