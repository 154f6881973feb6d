"""fairy/models/patch_autoencoder.py: the code's algebra, and diffusers loads and saves it."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import Tensor

from fairy.editors.ip2p.latents import decode_latents, encode_images
from fairy.models.patch_autoencoder import PatchAutoencoder
from tests.tiny import make_tiny_autoencoder, make_tiny_mini, save_tiny_pipeline

SIZE = 3 * 4 * 4


def _code(latent_channels: int) -> tuple[PatchAutoencoder, tuple[Tensor, Tensor, Tensor]]:
    """An untrained autoencoder of 4x4 blocks, with its mean, components and deviations."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64))[0]
    mean = torch.randn(SIZE, generator=generator)
    deviations = torch.rand(latent_channels, generator=generator) + 0.1
    autoencoder = PatchAutoencoder(latent_channels, 4, 8, 1, block_out_channels=(8, 8, 8))
    code = mean, basis[:, :latent_channels].float(), deviations
    autoencoder.set_code(*code)
    return autoencoder, code


def _images(height: int = 16, width: int = 24) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_all_components_together_lose_nothing() -> None:
    autoencoder, _ = _code(SIZE)
    images = _images()
    assert torch.allclose(autoencoder(images).sample, images, atol=1e-5)


def test_untrained_decoder_inverts_the_code_exactly() -> None:
    autoencoder, _ = _code(12)
    latents = torch.randn(2, 12, 5, 3, generator=torch.Generator().manual_seed(0))
    again = autoencoder.encode(autoencoder.decode(latents).sample).latents
    assert torch.allclose(again, latents, atol=1e-4)


def test_latents_are_the_scaled_components_of_each_block() -> None:
    autoencoder, (mean, components, deviations) = _code(12)
    blocks = F.pixel_unshuffle(_images(), 4).permute(0, 2, 3, 1)
    expected = ((blocks - mean) @ components / deviations).permute(0, 3, 1, 2)
    assert torch.allclose(autoencoder.encode(_images()).latents, expected, atol=1e-4)
    assert torch.allclose(autoencoder.deviations, deviations, atol=1e-6)


def test_correction_starts_at_the_means_variation_and_looks_at_neighbours() -> None:
    autoencoder, (mean, _, _) = _code(12)
    added = autoencoder.correction(torch.randn(1, 12, 6, 6))
    within = (mean.view(3, -1) - mean.view(3, -1).mean(1, keepdim=True)).view(1, 3, 4, 4)
    assert torch.allclose(added, within.repeat(1, 1, 6, 6), atol=1e-6)
    latents = torch.zeros(1, 12, 9, 9)
    torch.nn.init.normal_(autoencoder.correction.conv_out.weight)
    still = autoencoder.correction(latents)
    latents[..., 4, 4] = 1
    changed = (autoencoder.correction(latents) != still).any(1)[0]
    # two layers of 3x3: two blocks away at most
    assert changed[2 * 4 : 3 * 4].any()
    assert not changed[: 2 * 4].any()


def test_the_correction_gets_a_gradient() -> None:
    autoencoder, _ = _code(12)
    images = _images()
    (autoencoder(images).sample - images).square().mean().backward()
    assert autoencoder.correction.conv_out.weight.grad.abs().max() > 0


@pytest.mark.parametrize("size", [(4, 4), (12, 20), (36, 4)])
def test_any_multiple_of_the_block_is_a_size(size: tuple[int, int]) -> None:
    autoencoder, _ = _code(12)
    latents = autoencoder.encode(_images(*size)).latents
    assert latents.shape == (2, 12, size[0] // 4, size[1] // 4)
    assert autoencoder.decode(latents, return_dict=False)[0].shape == (2, 3, *size)


def test_levels_that_do_not_fit_the_block_are_refused() -> None:
    with pytest.raises(ValueError, match="4 entries, for blocks of 8 pixels; patch_size is 4"):
        PatchAutoencoder(patch_size=4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_survives_saving(tmp_path: Path, dtype: torch.dtype) -> None:
    autoencoder = make_tiny_autoencoder().to(dtype)
    autoencoder.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.glob("*.safetensors")]
    loaded = PatchAutoencoder.from_pretrained(tmp_path, use_safetensors=True)
    for name, weight in loaded.state_dict().items():
        assert torch.equal(weight, autoencoder.state_dict()[name].float()), name


def test_plain_diffusers_loads_it_in_a_pipeline_and_saves_it_again(tmp_path: Path) -> None:
    folder = save_tiny_pipeline(tmp_path / "first", make=make_tiny_mini)
    pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder)
    pipe.save_pretrained(tmp_path / "second")
    for saved in (folder, tmp_path / "second"):
        index = json.loads((saved / "model_index.json").read_text())
        assert index["vae"] == ["fairy.models.patch_autoencoder", "PatchAutoencoder"]
    pipe.set_progress_bar_config(disable=True)
    image = (_images(16, 24)[:1] + 1) / 2
    settings = {"num_inference_steps": 2, "guidance_scale": 1.0, "output_type": "pt"}
    first = pipe("a", image, generator=torch.Generator().manual_seed(0), **settings).images
    again = StableDiffusionInstructPix2PixPipeline.from_pretrained(tmp_path / "second")
    again.set_progress_bar_config(disable=True)
    second = again("a", image, generator=torch.Generator().manual_seed(0), **settings).images
    assert torch.equal(first, second)
    assert first.shape == (1, 3, 16, 24)


def test_slices_and_tiles_are_refused() -> None:
    autoencoder = make_tiny_autoencoder()
    for enable in (autoencoder.enable_slicing, autoencoder.enable_tiling):
        with pytest.raises(NotImplementedError, match="pass fewer images at once"):
            enable()


def test_edits_use_its_latents_as_they_are() -> None:
    autoencoder = make_tiny_autoencoder()
    images = _images()
    image_latents = encode_images(autoencoder, images)
    assert torch.equal(image_latents, autoencoder.encode(images).latents)
    decoded = decode_latents(autoencoder, image_latents)
    assert torch.equal(decoded, autoencoder.decode(image_latents).sample.clamp(-1, 1))


def test_is_copied_with_its_weights() -> None:
    autoencoder = make_tiny_autoencoder()
    half = copy.deepcopy(autoencoder).half()
    assert autoencoder.dtype == torch.float32
    assert half.dtype == torch.float16
