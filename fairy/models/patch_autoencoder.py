"""The autoencoder of `mini`: a linear code of 8x8 blocks, and a decoder that smooths their seams.

images (F,3,H,W) in [-1,1] <-> latents (F,C,H/8,W/8). The encoder is one matrix applied to each
block: its principal components, scaled to unit variance. The decoder is the code's inverse plus a
correction by a few convolutions over neighbouring blocks, which starts at zero.
diffusers' AutoencoderTiny upsamples by repeating pixels and cannot represent that inverse: after
the same training it is about 4 dB worse.
`model_index.json` names this module. Plain diffusers does not import modules that a model names,
so it loads such a folder only after `import fairy.models.patch_autoencoder`.
Fitted and trained by fairy/training/autoencoder.py. Tests: tests/models/test_patch_autoencoder.py.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

# diffusers looks for ModelMixin in this module to find out how to load the class.
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor, nn

NO_SLICING = (
    "PatchAutoencoder does not support slicing or tiling: decoding needs less memory than the "
    "UNet; pass fewer images at once"
)


class Correction(nn.Module):
    """Convolutions on the grid of blocks: latents (F,C,h,w) -> pixels to add (F,3,8h,8w)."""

    def __init__(self, latent_channels: int, hidden_channels: int, depth: int, patch: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(latent_channels, hidden_channels, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1) for _ in range(depth)
        )
        self.conv_out = nn.Conv2d(hidden_channels, 3 * patch * patch, 1)
        # Zero at first, so the decoder starts as the exact inverse of the code.
        for weight in self.conv_out.parameters():
            nn.init.zeros_(weight)
        self.patch = patch

    def forward(self, latents: Tensor) -> Tensor:
        """Return the pixels to add (F,3,8h,8w) to decoded latents (F,C,h,w)."""
        hidden = F.silu(self.conv_in(latents))
        for layer in self.layers:
            hidden = hidden + F.silu(layer(hidden))
        return F.pixel_shuffle(self.conv_out(hidden), self.patch)


class PatchAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A linear code of square blocks with a convolutional correction.

    Args:
        latent_channels: C, how many of a block's 3 * patch_size ** 2 components are kept.
        patch_size: side of a block in pixels.
        hidden_channels: width of the correction.
        depth: layers of the correction between its first and its last.
        scaling_factor: diffusers multiplies latents by it; 1, because they have unit variance.
        block_out_channels: diffusers' pipelines use only its length: the grid is
            2 ** (length - 1) pixels.

    Raises:
        ValueError: `block_out_channels` and `patch_size` contradict each other.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        latent_channels: int = 48,
        patch_size: int = 8,
        hidden_channels: int = 128,
        depth: int = 2,
        scaling_factor: float = 1.0,
        block_out_channels: tuple[int, ...] = (192, 192, 192, 192),
    ) -> None:
        super().__init__()
        if 2 ** (len(block_out_channels) - 1) != patch_size:
            raise ValueError(
                f"block_out_channels has {len(block_out_channels)} entries, for blocks of "
                f"{2 ** (len(block_out_channels) - 1)} pixels; patch_size is {patch_size}: use a "
                "power of two and its exponent plus one entries"
            )
        self.encoder = nn.Conv2d(3, latent_channels, patch_size, stride=patch_size)
        self.decoder = nn.ConvTranspose2d(latent_channels, 3, patch_size, stride=patch_size)
        self.correction = Correction(latent_channels, hidden_channels, depth, patch_size)

    @torch.no_grad()
    def set_code(self, mean: Tensor, components: Tensor, deviations: Tensor) -> None:
        """Set the linear code from the principal components of blocks.

        Args:
            mean: (3*p*p,) of the blocks, values in the order of `pixel_unshuffle`, in [-1,1].
            components: (3*p*p,C), orthonormal columns.
            deviations: (C,) standard deviation of each component, in [-1,1] units.
        """
        patch = self.config.patch_size
        whiten = (components / deviations).T
        # A transposed convolution has one bias for each colour. The variation of the mean within
        # a block goes into the correction's bias.
        per_colour = mean.reshape(3, -1)
        code = {
            "encoder.weight": whiten.reshape(-1, 3, patch, patch),
            "encoder.bias": -(whiten @ mean),
            "decoder.weight": (components * deviations).T.reshape(-1, 3, patch, patch),
            "decoder.bias": per_colour.mean(1),
            "correction.conv_out.bias": (per_colour - per_colour.mean(1, True)).flatten(),
        }
        self.load_state_dict(code, strict=False)

    @property
    def deviations(self) -> Tensor:
        """Standard deviations (C,) of the components, as `set_code` got them."""
        weight = self.decoder.weight.detach()
        deviations: Tensor = torch.linalg.vector_norm(weight.flatten(1), dim=1)
        return deviations

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """Return the latents (F,C,H/p,W/p) of images (F,3,H,W) in [-1,1]."""
        latents = self.encoder(x)
        return AutoencoderTinyOutput(latents=latents) if return_dict else (latents,)

    def decode(
        self, z: Tensor, generator: torch.Generator | None = None, return_dict: bool = True
    ) -> Any:
        """Return the images (F,3,H,W), about [-1,1], of latents (F,C,H/p,W/p).

        Args:
            z: latents.
            generator: not used; diffusers' pipelines pass it to every decoder.
            return_dict: as in diffusers.
        """
        images = self.decoder(z) + self.correction(z)
        return DecoderOutput(sample=images) if return_dict else (images,)

    def enable_slicing(self) -> None:
        """Refuse, as diffusers' autoencoders without it do.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(NO_SLICING)

    def enable_tiling(self) -> None:
        """Refuse, as diffusers' autoencoders without it do.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(NO_SLICING)

    def forward(self, sample: Tensor, return_dict: bool = True) -> Any:
        """Encode and decode images (F,3,H,W)."""
        return self.decode(self.encode(sample).latents, return_dict=return_dict)
