"""Decode with a tiny autoencoder instead of the model's own: faster, and less detailed.

It decodes latents (F,C,h,w) in the model's scale. The model's own autoencoder still encodes the
sources, because the UNet was trained on its image latents. For SD 1.5, use madebyollin/taesd.
Tests: tests/editors/ip2p/levers/test_tiny_decoder.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diffusers import AutoencoderTiny

from fairy.errors import ModelError, SettingsError, first_line
from fairy.models.patch_autoencoder import PatchAutoencoder
from fairy.models.quiet import without_expected_messages

if TYPE_CHECKING:
    from diffusers import StableDiffusionInstructPix2PixPipeline


def load_decoder(
    name: str, pipe: StableDiffusionInstructPix2PixPipeline, model: str
) -> AutoencoderTiny:
    """Load the tiny autoencoder `name`, a folder or a hub id, onto the device of `pipe`.

    Args:
        name: an AutoencoderTiny in diffusers format; only safetensors are loaded.
        pipe: the pipeline whose latents it decodes.
        model: the name of `pipe` in messages.

    Raises:
        SettingsError: the model already has a tiny autoencoder, or its latents are different.
        ModelError: it cannot be loaded.
    """
    if isinstance(pipe.vae, (AutoencoderTiny, PatchAutoencoder)):
        raise SettingsError(
            f"decoder {name}: model {model} already has a tiny autoencoder; leave --decoder out"
        )
    try:
        with without_expected_messages():
            decoder = AutoencoderTiny.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"decoder {name}: cannot be loaded ({first_line(error)}); use a folder or a hub id of "
            "an AutoencoderTiny, such as madebyollin/taesd"
        ) from error
    _check_fits(decoder, name, pipe, model)
    return decoder.to(pipe.device, pipe.vae.dtype).eval()


def _check_fits(
    decoder: AutoencoderTiny,
    name: str,
    pipe: StableDiffusionInstructPix2PixPipeline,
    model: str,
) -> None:
    shrinks = decoder.config.upsampling_scaling_factor ** (
        len(decoder.config.block_out_channels) - 1
    )
    found = (decoder.config.latent_channels, shrinks)
    needed = (pipe.vae.config.latent_channels, pipe.vae_scale_factor)
    if found != needed:
        raise SettingsError(
            f"decoder {name}: it decodes latents of {found[0]} channels at 1/{found[1]} of the "
            f"size, but model {model} has {needed[0]} at 1/{needed[1]}; use a decoder made for it"
        )
