"""Images to latents and back, and the noise that all frames of a clip share.

images (F,3,H,W) in [-1,1] <-> latents (F,C,h,w), h = H/8 for SD 1.5. Image latents are the
autoencoder's mode and not scaled; latents are scaled by `scaling_factor`, as in diffusers.
Tests: tests/editors/ip2p/test_latents.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from fairy.editors.finite import check_finite
from fairy.options import checked
from fairy.settings import SEED

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny

    from fairy.models.patch_autoencoder import PatchAutoencoder

    Autoencoder: TypeAlias = AutoencoderKL | AutoencoderTiny | PatchAutoencoder


def encode_images(vae: Autoencoder, images: Tensor) -> Tensor:
    """Return image_latents (F,C,h,w), the distribution's mode, of images (F,3,H,W) in [-1,1]."""
    encoded = vae.encode(avoid_single_row(images.to(vae.dtype)))
    mode = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
    image_latents: Tensor = mode[: images.shape[0]]
    check_finite(image_latents, "encoding the frames", {"vae": vae})
    return image_latents


def decode_latents(vae: Autoencoder, latents: Tensor) -> Tensor:
    """Return images (F,3,H,W) in [-1,1], float32, of latents (F,C,h,w)."""
    scaled = avoid_single_row(latents / vae.config.scaling_factor)
    images: Tensor = vae.decode(scaled.to(vae.dtype), return_dict=False)[0]
    check_finite(images, "decoding the results", {"vae": vae})
    return images[: latents.shape[0]].float().clamp(-1, 1)


def avoid_single_row(rows: Tensor) -> Tensor:
    """Return rows (F,...), a single row doubled on the CPU, so that the batch does not matter.

    On the CPU torch convolves one small image with other code than two or more (`use_mkldnn` in
    ATen's Convolution.cpp), and the last bits differ. The caller drops the second row again.
    """
    if rows.shape[0] == 1 and rows.device.type == "cpu":
        return torch.cat([rows, rows])
    return rows


@dataclass(frozen=True)
class ClipNoise:
    """All noise of a clip: it depends on the seed and the step, not on the frame or the batch.

    Attributes:
        initial: (1,C,h,w), standard normal, the start of every frame.
        state: the generator's state after `initial` was drawn; later draws continue from it.
        device: the generator's device.
    """

    initial: Tensor
    state: Tensor
    device: torch.device

    @classmethod
    def draw(
        cls,
        generator: torch.Generator,
        shape: tuple[int, int, int],
        device: torch.device,
        dtype: torch.dtype,
        latents: Tensor | None = None,
    ) -> ClipNoise:
        """Draw the initial noise of `shape` (C,h,w), as diffusers would for one image.

        Args:
            generator: draws it, and the noise of later steps.
            shape: (C,h,w).
            device: where the model runs.
            dtype: in which it runs.
            latents: the initial noise (1,C,h,w), if it is not to be drawn.

        Raises:
            ValueError: `latents` of another shape.
        """
        where = generator.device
        if latents is not None:
            if tuple(latents.shape) != (1, *shape):
                raise ValueError(
                    f"latents has shape {tuple(latents.shape)}: all frames start from the same "
                    f"noise; pass {(1, *shape)}"
                )
            return cls(latents.to(device, dtype), generator.get_state(), where)
        initial = torch.randn((1, *shape), generator=generator, device=where, dtype=dtype)
        return cls(initial.to(device), generator.get_state(), where)

    def generators(self, num_frames: int) -> list[torch.Generator]:
        """Return one generator per frame, all in the same state.

        diffusers' schedulers draw the noise of row f from generator f. So in every step all frames
        get the same noise, the one that a single image would get.
        """
        generators = [torch.Generator(self.device) for _ in range(num_frames)]
        for generator in generators:
            generator.set_state(self.state)
        return generators


def make_generator(generator: torch.Generator | int | None) -> torch.Generator:
    """Return `generator`, one with that seed, or one with a random seed if None.

    With a seed, noise is drawn on the CPU, so that it is the same on every device.

    Raises:
        SettingsError: neither a generator nor a seed.
    """
    if isinstance(generator, torch.Generator):
        return generator
    seed = checked("generator", generator, int | None, SEED)
    if seed is None:
        seed = int(torch.randint(2**63 - 1, ()).item())
    return torch.Generator("cpu").manual_seed(seed)
