"""1x1 convolutions whose result depends on neither the number of threads nor the batch.

On a CPU, oneDNN splits their sum over the channels in a way that depends on both, so that several
workers, which have fewer threads each, would make another file than one. As products of matrices
they are the same everywhere, to the bit, and not slower. Tests: tests/models/test_pointwise.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class PointwiseConv2d(nn.Conv2d):
    """A convolution of 1x1 pixels that a CPU computes as a product of matrices."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolve images (B,C,H,W) or (C,H,W)."""
        if images.device.type != "cpu" or images.dim() != 4:
            convolved: Tensor = super().forward(images)
            return convolved
        weight = self.weight.flatten(1).expand(images.shape[0], -1, -1)
        pixels = images.flatten(2)
        if self.bias is None:
            rows = torch.bmm(weight, pixels)
        else:
            rows = torch.baddbmm(self.bias[:, None], weight, pixels)
        return rows.reshape(*rows.shape[:2], *images.shape[2:])


def make_pointwise(pipe: Any) -> None:
    """Turn the 1x1 convolutions of a pipeline's models into `PointwiseConv2d`, in place."""
    for model in pipe.components.values():
        if isinstance(model, nn.Module):
            for module in model.modules():
                if _is_pointwise(module):
                    module.__class__ = PointwiseConv2d


def _is_pointwise(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == module.stride == (1, 1)
        and module.padding in ((0, 0), "valid")
        and module.groups == 1
    )
