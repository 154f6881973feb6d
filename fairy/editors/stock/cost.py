"""What anchors cost in a stock pipeline: bytes of their keys and values.

    cache = steps * branches * anchors * sum over layers of tokens * 2 * width * bytes per element

A DiT has the same number of tokens in every layer, a UNet a quarter at each level further down.
Sizes are (height, width). Tests: tests/editors/stock/test_cost.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from fairy.editors.stock.families import Family
from fairy.editors.stock.hooks import attention_layers


def layer_shapes(
    denoiser: nn.Module, family: Family, size: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Yield (tokens, width of the keys) of each layer that anchors take part in."""
    for name, layer in attention_layers(denoiser).items():
        tokens = family.num_tokens(size)
        if family.tokens == "all":
            tokens = _unet_tokens(denoiser, name, size)
        yield tokens, _key_width(layer)


def cache_bytes(
    denoiser: nn.Module,
    family: Family,
    size: tuple[int, int],
    *,
    num_anchors: int,
    num_calls: int,
    itemsize: int,
) -> int:
    """Return the bytes of the anchors' keys and values.

    Args:
        denoiser: the model, also on the meta device.
        family: its family.
        size: (height, width).
        num_anchors: anchors A.
        num_calls: evaluations of the denoiser for one picture: steps * guidance branches.
        itemsize: bytes of an element.
    """
    values = sum(tokens * width for tokens, width in layer_shapes(denoiser, family, size))
    return 2 * values * num_anchors * num_calls * itemsize


def num_branches(family: Family, guidance_scale: float, *, is_distilled: bool = False) -> int:
    """Return the evaluations of the denoiser in a step, for one picture."""
    return family.branches if guidance_scale > 1 and not is_distilled else 1


def _key_width(layer: Any) -> int:
    for name in ("inner_kv_dim", "inner_dim"):
        if hasattr(layer, name):
            return int(getattr(layer, name))
    return int(layer.img_attn_qkv.out_features) // 3


def _unet_tokens(unet: Any, name: str, size: tuple[int, int]) -> int:
    """Return the tokens of a UNet's layer by its name, as in down_blocks.1.attentions.0."""
    lowest: int = len(unet.config.block_out_channels) - 1
    part, index = name.split(".")[:2]
    level: int = lowest
    if part == "down_blocks":
        level = int(index)
    elif part == "up_blocks":
        # The lowest level comes first on the way up
        level = lowest - int(index)
    # The autoencoder shrinks by 8
    shrink: int = 8 * 2**level
    return -(-size[0] // shrink) * -(-size[1] // shrink)
