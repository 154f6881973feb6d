"""Images to latents and back, and the clip's noise."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler

from fairy.editors.ip2p.latents import ClipNoise, decode_latents, encode_images, make_generator

CPU = torch.device("cpu")


def draw(seed: int = 0) -> ClipNoise:
    return ClipNoise.draw(make_generator(seed), (4, 6, 8), CPU, torch.float32)


def test_image_latents_are_the_mode_and_not_scaled(tiny_pipeline):
    images = torch.rand(2, 3, 24, 32) * 2 - 1
    with torch.no_grad():
        expected = tiny_pipeline.vae.encode(images).latent_dist.mode()
        assert torch.allclose(encode_images(tiny_pipeline.vae, images), expected, atol=1e-6)


@pytest.mark.parametrize("function", [encode_images, decode_latents])
def test_one_frame_alone_equals_it_among_others(tiny_pipeline, function):
    rows = torch.randn(3, 3 if function is encode_images else 4, 12, 16)
    with torch.no_grad():
        together = function(tiny_pipeline.vae, rows)
        alone = function(tiny_pipeline.vae, rows[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-6)


def test_decoded_images_stay_in_range(tiny_pipeline):
    with torch.no_grad():
        images = decode_latents(tiny_pipeline.vae, torch.randn(1, 4, 6, 8) * 100)
    assert images.abs().max() <= 1


def test_initial_noise_is_the_first_draw_of_the_seed():
    expected = torch.randn(1, 4, 6, 8, generator=torch.Generator().manual_seed(7))
    assert torch.equal(draw(7).initial, expected)


@pytest.mark.parametrize(
    "scheduler",
    [
        EulerAncestralDiscreteScheduler(),
        DDIMScheduler(),
        DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++"),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_a_step_gives_every_frame_the_same_noise(scheduler):
    scheduler.set_timesteps(4)
    eta = {"eta": 1.0} if isinstance(scheduler, DDIMScheduler) else {}
    latents = torch.randn(1, 4, 6, 8).repeat(3, 1, 1, 1)
    out = scheduler.step(
        latents, scheduler.timesteps[0], latents, generator=draw().generators(3), **eta
    ).prev_sample
    assert torch.equal(out[0], out[1])
    assert torch.equal(out[0], out[2])


def test_a_random_seed_is_drawn_when_none_is_given():
    assert make_generator(None).initial_seed() != make_generator(None).initial_seed()
