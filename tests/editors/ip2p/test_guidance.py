"""Guidance branches: their order, and when there is only one."""

from __future__ import annotations

import pytest
import torch

from fairy.editors.ip2p.guidance import Guidance


@pytest.mark.parametrize(
    ("scales", "num_groups"),
    [((7.5, 1.5), 3), ((1.0, 1.0), 1), ((1.0, 1.5), 1), ((7.5, 0.5), 1), ((1.01, 1.0), 2)],
)
def test_enabled_as_diffusers_decides(tiny_pipeline, scales, num_groups):
    tiny_pipeline._guidance_scale, tiny_pipeline._image_guidance_scale = scales
    guidance = Guidance(*scales)
    assert guidance.enabled == tiny_pipeline.do_classifier_free_guidance
    assert guidance.num_groups == num_groups


def test_rows_are_group_major():
    latents = torch.arange(2.0).view(2, 1, 1, 1)
    assert Guidance(2, 3).expand_latents(latents).flatten().tolist() == [0, 1, 0, 1, 0, 1]
    prompt = torch.arange(3.0).view(3, 1, 1)
    assert Guidance(2, 3).expand_prompt(prompt, 2).flatten().tolist() == [0, 0, 1, 1, 2, 2]


def test_uncond_sees_no_image():
    expanded = Guidance(2, 3).expand_image_latents(torch.ones(2, 1, 1, 1))
    assert expanded.flatten().tolist() == [1, 1, 1, 1, 0, 0]


def test_combine_weighs_text_and_image():
    text, image, uncond = 5.0, 3.0, 1.0
    predicted = torch.tensor([text, image, uncond]).view(3, 1, 1, 1)
    assert Guidance(2, 10).combine(predicted).item() == 1 + 2 * (5 - 3) + 10 * (3 - 1)


def test_without_weight_the_uncond_branch_is_left_out():
    text, image, uncond = (torch.full((1, 1, 1, 1), value) for value in (5.0, 3.0, 1.0))
    two = Guidance(2, 1).combine(torch.cat([text, image]))
    assert two.item() == 3 + 2 * (5 - 3)
    nearly = Guidance(2, 1 + 1e-6).combine(torch.cat([text, image, uncond]))
    assert torch.allclose(two, nearly, atol=1e-5)


def test_without_guidance_nothing_is_expanded_or_combined():
    latents = torch.ones(2, 1, 1, 1)
    guidance = Guidance(1, 1)
    assert guidance.expand_latents(latents).shape == latents.shape
    assert guidance.combine(latents) is latents
