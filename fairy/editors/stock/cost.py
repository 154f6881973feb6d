"""What anchors cost in a stock pipeline: bytes of their keys and values, operations, activations.

    cache = steps * branches * anchors * sum over layers of tokens * 2 * width * bytes per element

A DiT has the same number of tokens in every layer, a UNet a quarter at each level further down.
Sizes are (height, width). Tests: tests/editors/stock/test_cost.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fairy.editors.live_bytes import counted
from fairy.editors.stock.families import Family
from fairy.editors.stock.hooks import Run, StockAttention, attention_layers, hooked, running
from fairy.editors.stock.inputs import denoiser_inputs, without_values
from fairy.models.blueprint import Blueprint


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


@dataclass(frozen=True)
class CallCost:
    """What one call of the denoiser costs.

    Attributes:
        flops: operations, a multiplication and an addition counting as two.
        peak_bytes: activations held at once.
        cache_bytes: the anchors' keys and values of this call.
    """

    flops: int
    peak_bytes: int
    cache_bytes: int


def call_cost(
    denoiser: nn.Module,
    family: Family,
    size: tuple[int, int],
    *,
    num_anchors: int,
    dtype: torch.dtype,
    rows: int = 1,
) -> CallCost:
    """Return the cost of one call for one frame, by running the model on the meta device.

    Args:
        denoiser: the model, on the meta device.
        family: its family.
        size: (height, width).
        num_anchors: anchors that the frame reads; 0 is the stock pipeline.
        dtype: of weights and activations.
        rows: guidance branches in the call.
    """
    inputs = denoiser_inputs(denoiser, size, dtype, rows)
    without_values(denoiser)
    reader = _Reader(family, num_anchors)
    run = Run("frame", size, reader)
    with hooked(denoiser, family), running(run):
        with torch.no_grad(), FlopCounterMode(display=False) as flops:
            denoiser(**inputs, return_dict=False)
        run.step, reader.cache_bytes = 0, 0
        with counted() as live:
            denoiser(**inputs, return_dict=False)
    return CallCost(flops.get_total_flops(), live.peak, reader.cache_bytes)


def model_cost(
    blueprint: Blueprint,
    family: Family,
    size: tuple[int, int],
    *,
    num_anchors: int,
    dtype: torch.dtype,
    rows: int = 1,
) -> CallCost:
    """Return the cost of one call of a model of any depth, from its configuration.

    Blocks of a DiT are alike, so operations and cache grow by the same amount with each: models of
    one and two blocks of a kind show how much. See `call_cost` for the arguments.
    """

    def cost(**depths: int) -> CallCost:
        model = blueprint.changed(**depths).build(dtype)
        return call_cost(model, family, size, num_anchors=num_anchors, dtype=dtype, rows=rows)

    config = blueprint.settings
    kinds = [name for name in ("num_layers", "num_single_layers") if name in config]
    if family.tokens == "all" or not kinds:
        return cost()
    one = dict.fromkeys(kinds, 1)
    least = cost(**one)
    flops, cache = least.flops, least.cache_bytes
    for kind in kinds:
        more = cost(**one | {kind: 2})
        flops += (config[kind] - 1) * (more.flops - least.flops)
        cache += (config[kind] - 1) * (more.cache_bytes - least.cache_bytes)
    return CallCost(flops, least.peak_bytes, cache)


class _Reader:
    """Attention with anchors whose keys are as many as the frame's own, a multiple of them."""

    def __init__(self, family: Family, num_anchors: int) -> None:
        self._family, self._num_anchors = family, num_anchors
        self.cache_bytes = 0

    def begin_step(self, run: Run) -> None:
        """Do nothing: keys are made when they are read."""

    def attend(
        self,
        run: Run,
        stock: StockAttention,
        qkv: tuple[Tensor, Tensor, Tensor],
        mask: Tensor | None,
        scale: float | None,
    ) -> Tensor:
        """Return the attention of stock queries, and of the image's to the anchors as well."""
        q, k, v = qkv
        place = self._family.place(q.shape[1], run.num_text, run.size)
        cached = k[:, place].repeat(1, self._num_anchors, 1, 1)
        self.cache_bytes += 2 * cached.nbytes
        if not self._num_anchors:
            return stock(q, k, v, None)
        keys = torch.cat([k, cached], dim=1)
        image = stock(q[:, place], keys, torch.cat([v, cached], dim=1), None)
        rest = torch.cat([q[:, : place.start], q[:, place.stop :]], dim=1)
        return torch.cat([image, stock(rest, k, v, None)], dim=1) if rest.shape[1] else image
