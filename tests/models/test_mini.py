"""The bundled model: its format, and that it makes the requested edits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from torch import Tensor

import fairy
from fairy import FairyPipeline
from fairy.models.defaults import unknown_words
from fairy.synthetic.moving_scenes import sample_clip
from fairy.synthetic.samplers import SceneSampler

FOLDER = Path(fairy.__file__).parent / "models" / "mini"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def mini() -> Iterator[FairyPipeline]:
    yield FairyPipeline.from_pretrained("mini")


@pytest.fixture(scope="module")
def frames() -> Tensor:
    clip = sample_clip(SceneSampler(), 7, (48, 64), torch.Generator().manual_seed(11))
    return clip.frames * 2 - 1


def _edit(pipe: FairyPipeline, frames: Tensor, text: str, **settings: int) -> Tensor:
    edited: Tensor = pipe(frames, text, generator=0, output_type="pt", **settings).frames
    return edited


def test_small_enough_for_a_repository() -> None:
    sizes = [path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()]
    assert max(sizes) < 16 * MEGABYTE
    assert sum(sizes) < 40 * MEGABYTE


def test_loads_with_plain_diffusers(frames: Tensor) -> None:
    plain = StableDiffusionInstructPix2PixPipeline.from_pretrained(FOLDER)
    plain.set_progress_bar_config(disable=True)
    image = plain("make it night", image=(frames[:1] + 1) / 2, num_inference_steps=2).images[0]
    assert image.size == (64, 48)


def test_attends_at_every_resolution(mini: FairyPipeline) -> None:
    config = mini.unet.config
    assert set(config.down_block_types) == {"CrossAttnDownBlock2D"}
    assert config.in_channels == 2 * mini.vae.config.latent_channels


def test_independent_of_frame_batch_size(mini: FairyPipeline, frames: Tensor) -> None:
    one = _edit(mini, frames, "make it sepia", frame_batch_size=1)
    four = _edit(mini, frames, "make it sepia", frame_batch_size=4)
    assert (one - four).abs().max() < 1e-5


def test_takes_the_colour_away(mini: FairyPipeline, frames: Tensor) -> None:
    def colourfulness(images: Tensor) -> Tensor:
        return (images.amax(1) - images.amin(1)).mean()

    grey = _edit(mini, frames, "make it black and white")
    assert colourfulness(grey) < 0.4 * colourfulness((frames + 1) / 2)


def test_makes_it_dark_at_night(mini: FairyPipeline, frames: Tensor) -> None:
    assert _edit(mini, frames, "make it night").mean() < 0.5 * ((frames + 1) / 2).mean()


def test_keeps_the_scene(mini: FairyPipeline, frames: Tensor) -> None:
    source = ((frames + 1) / 2).mean(1).flatten(1)
    edited = _edit(mini, frames, "make it sepia").mean(1).flatten(1)
    both = torch.stack([source.flatten(), edited.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.8


def test_knows_its_own_instructions(mini: FairyPipeline) -> None:
    assert mini.defaults.instructions
    for text in mini.defaults.instructions:
        assert not unknown_words(text, mini.defaults)


def test_says_what_it_is() -> None:
    card = (FOLDER / "README.md").read_text()
    for word in ("Data", "Steps", "Machine", "PSNR", "Limits"):
        assert word in card
