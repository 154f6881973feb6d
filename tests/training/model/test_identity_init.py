"""fairy/training/model/identity_init.py: the UNet starts as the edit that changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from fairy.training.model.build import build_unet
from fairy.training.model.identity_init import initialise
from fairy.training.recipe import load_recipe


def _unet(tmp_path: Path, channels: tuple[int, ...], groups: int) -> UNet2DConditionModel:
    settings = {"unet_channels": channels, "unet_norm_groups": groups}
    config = load_recipe("tiny-test", {"output": tmp_path, **settings})
    torch.manual_seed(0)
    unet = build_unet(config, latent_channels=4, latent_size=8)
    initialise(unet)
    return unet.eval()


def _run(unet: UNet2DConditionModel, timestep: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    noisy, source = torch.randn(2, 2, 4, 8, 8, generator=generator)
    text = torch.randn(2, 16, 16, generator=generator)
    with torch.no_grad():
        output = unet(torch.cat([noisy, source], 1), timestep, text, return_dict=False)[0]
    return output, source


@pytest.mark.parametrize("timestep", [999, 249])
def test_output_is_the_source(tmp_path: Path, timestep: int) -> None:
    output, source = _run(_unet(tmp_path, (24, 32), 4), timestep)
    error = (output - source).square().mean() / source.square().mean()
    assert error < 0.1
    slope = (output * source).mean() / source.square().mean()
    assert 0.8 < slope < 1.1


def test_every_weight_can_learn(tmp_path: Path) -> None:
    """After one step the last layers are no longer zero, and gradients reach everything."""
    unet = _unet(tmp_path, (24, 32), 4)
    optimizer = torch.optim.SGD(unet.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        generator = torch.Generator().manual_seed(1)
        rows = torch.randn(2, 8, 8, 8, generator=generator)
        text = torch.randn(2, 16, 16, generator=generator)
        target = torch.randn(2, 4, 8, 8, generator=generator)
        (unet(rows, 500, text, return_dict=False)[0] - target).square().mean().backward()
        optimizer.step()
    still = [n for n, w in unet.named_parameters() if w.grad is None or not w.grad.abs().any()]
    assert still == []


def test_a_narrow_top_level_only_starts_at_zero(tmp_path: Path) -> None:
    unet = _unet(tmp_path, (8, 16), 4)
    for block in (*unet.down_blocks, *unet.up_blocks):
        assert not any(resnet.conv2.weight.any() for resnet in block.resnets)
        assert not any(attention.proj_out.weight.any() for attention in block.attentions)
    assert unet.conv_in.weight.any()
