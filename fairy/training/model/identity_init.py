"""Initial weights for a UNet that returns its source, so training starts from "change nothing".

Residual blocks and transformers add nothing at first, because their last layers are zero. Some
channels of the top level carry the source's latents from `conv_in` through the last skip connection
to `conv_out`. Local edits, which copy nearly everything, start 1.5 to 2 dB better.

This path has two group norms, which would scale the copies by the standard deviation of their
group. So each group has two constant channels, +-REFERENCE, which fix it. The path also has a SiLU,
so the copies are scaled into its nearly linear range around BETA.
Tests: tests/training/model/test_identity_init.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn

# Much larger than latents of variance 1, so these hardly change the group's standard deviation.
REFERENCE = 12.0
# Copies enter the SiLU as GAIN * copy + BETA.
GAIN, BETA = 0.5, 1.0


def initialise(unet: UNet2DConditionModel) -> None:
    """Make the UNet return its source's latents, if its top level has enough channels.

    Otherwise, only set the last layers of residual blocks and transformers to zero.

    Args:
        unet: changed in place; its input is (B,2C,h,w), the source's latents last.
    """
    zero_last_layers(unet)
    places = _Places.of(unet)
    if places is not None:
        _write_identity(unet, places)


@torch.no_grad()
def zero_last_layers(unet: nn.Module) -> None:
    """Make every residual block and transformer return its input."""
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D):
            layer: nn.Module = module.conv2
        elif isinstance(module, Transformer2DModel):
            layer = module.proj_out
        else:
            continue
        for weight in layer.parameters():
            nn.init.zeros_(weight)


@dataclass(frozen=True)
class _Places:
    """Top-level channels: `copies` carry the C latents, `plus` and `minus` are constant."""

    copies: Tensor
    plus: Tensor
    minus: Tensor
    group_size: int
    copies_per_group: int

    @classmethod
    def of(cls, unet: UNet2DConditionModel) -> _Places | None:
        """Spread the copies over the groups; None if a group has too few channels."""
        latents, num_groups = unet.config.out_channels, unet.config.norm_num_groups
        group_size = unet.config.block_out_channels[0] // num_groups
        per_group = -(-latents // num_groups)
        if per_group + 2 > group_size:
            return None
        copy, group = torch.arange(latents), torch.arange(num_groups)
        return cls(
            copies=copy % num_groups * group_size + copy // num_groups,
            plus=group * group_size + per_group,
            minus=group * group_size + per_group + 1,
            group_size=group_size,
            copies_per_group=per_group,
        )


@torch.no_grad()
def _write_identity(unet: UNet2DConditionModel, places: _Places) -> None:
    copies, latents = places.copies, len(places.copies)
    references = torch.cat([places.plus, places.minus])
    unet.conv_in.weight[copies] = 0
    unet.conv_in.weight[copies, latents + torch.arange(latents), 1, 1] = 1
    unet.conv_in.bias[copies] = 0

    # The last residual block's shortcut gets (hidden, skip): the copies come from the skip.
    shortcut = unet.up_blocks[-1].resnets[-1].conv_shortcut
    hidden = shortcut.in_channels - unet.conv_in.out_channels
    shortcut.weight.mul_(0.5)
    shortcut.weight[copies] = 0
    shortcut.weight[copies, hidden + copies, 0, 0] = 1
    shortcut.bias[copies] = 0
    shortcut.weight[references] = 0
    shortcut.bias[places.plus], shortcut.bias[places.minus] = REFERENCE, -REFERENCE

    # The groups' standard deviation, so that the norms scale by 1. Copies have variance 1.
    variance = (2 * REFERENCE**2 + places.copies_per_group) / places.group_size
    deviation = math.sqrt(variance)
    attention_norm, last_norm = unet.up_blocks[-1].attentions[-1].norm, unet.conv_norm_out
    for norm in (attention_norm, last_norm):
        norm.weight.fill_(deviation)
        norm.weight[references] = 0
    last_norm.weight[copies] = GAIN * deviation
    last_norm.bias.zero_()
    last_norm.bias[copies] = BETA

    # Undo GAIN, BETA and the SiLU, to first order.
    sigmoid = 1 / (1 + math.exp(-BETA))
    slope = sigmoid * (1 + BETA * (1 - sigmoid))
    scale = 1 / (GAIN * slope)
    unet.conv_out.weight.mul_(0.1)
    unet.conv_out.weight[:, copies] = 0
    unet.conv_out.weight[torch.arange(latents), copies, 1, 1] = scale
    unet.conv_out.weight[:, references] = 0
    unet.conv_out.bias.fill_(-scale * BETA * sigmoid)
