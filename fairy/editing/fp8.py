"""Float8 for the UNet's linear layers: torchao's dynamic quantisation, on cards that compute in it.

Weights are kept in float8, and so are a layer's inputs, each tensor with one scale found as it
comes. Only layers in transformer blocks: embeddings of the timestep are small and sensitive, and
torchao's float8 convolution needs one more package. Not run on a card yet.
Tests: tests/editing/test_fp8.py.
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from fairy.errors import SettingsError

# Ada, Hopper, Blackwell: the first with float8 matrix units
LEAST_CAPABILITY = (8, 9)
# Both sides of a weight must be multiples of it (torch._scaled_mm)
SIDE_MULTIPLE = 16


def check_fp8(device: torch.device) -> None:
    """Refuse a device that does not compute in float8.

    Raises:
        SettingsError: it is no CUDA card, or too old a one.
    """
    if device.type != "cuda":
        what = f"this is {device.type}"
    else:
        capability = torch.cuda.get_device_capability(device)
        if capability >= LEAST_CAPABILITY:
            return
        what = f"{torch.cuda.get_device_name(device)} has {'.'.join(map(str, capability))}"
    raise SettingsError(
        f"fp8 needs a CUDA card of compute capability {'.'.join(map(str, LEAST_CAPABILITY))} or "
        f"more: {what}; leave --fp8 out"
    )


def to_fp8(unet: UNet2DConditionModel) -> None:
    """Let the linear layers of the UNet's transformer blocks compute in float8, for good.

    Raises:
        SettingsError: its device does not compute in float8, or torchao is missing.
    """
    check_fp8(unet.device)
    try:
        from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, quantize_
    except ImportError as error:
        raise SettingsError(
            "fp8 needs the package torchao: pip install 'fairy-video[fp8]'"
        ) from error
    quantize_(unet, Float8DynamicActivationFloat8WeightConfig(), filter_fn=_is_chosen)


def _is_chosen(module: nn.Module, name: str) -> bool:
    """Return whether a module of the UNet, by its full name, is to compute in float8."""
    return (
        isinstance(module, nn.Linear)
        and "transformer_blocks" in name.split(".")
        and all(side % SIDE_MULTIPLE == 0 for side in module.weight.shape)
    )
