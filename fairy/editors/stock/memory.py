"""What an edit with a stock pipeline holds in memory at its peak, from configurations alone.

    on the device = weights + max(anchors together, keys and values kept + one frame)

Keys and values are exact; activations are those that are alive at once when the denoiser's and the
decoder's own code runs on tensors without values. Sizes are (height, width).
Tests: tests/editors/stock/test_cost.py, tests/doctor/test_stock_plan.py; figures: docs/models.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from fairy.editors.batches import EditMemory
from fairy.editors.live_bytes import counted
from fairy.editors.stock.cost import model_cost, num_branches
from fairy.editors.stock.families import Family
from fairy.editors.stock.inputs import denoiser_inputs
from fairy.models.blueprint import META, Blueprint
from fairy.settings import EditConfig

_model_cost = lru_cache(maxsize=32)(model_cost)
# Their latents have an axis of time
VIDEO_AUTOENCODERS = ("AutoencoderKLQwenImage", "AutoencoderKLWan")


@dataclass(frozen=True, kw_only=True)
class StockShape:
    """What the memory of an edit depends on besides its models.

    Attributes:
        size: (height, width).
        num_anchors: anchors A, which run together.
        num_steps: denoising steps.
        num_groups: guidance branches.
        dtype: of weights and activations.
        step_by_step: one step's keys and values are kept, not all.
        backend: for `fairy doctor`.
    """

    size: tuple[int, int]
    num_anchors: int
    num_steps: int
    num_groups: int
    dtype: torch.dtype
    step_by_step: bool = False
    backend: str = "sdpa"

    @classmethod
    def of(
        cls,
        family: Family,
        settings: EditConfig,
        size: tuple[int, int],
        num_anchors: int,
        *,
        dtype: torch.dtype,
        is_distilled: bool = False,
        step_by_step: bool = False,
    ) -> StockShape:
        """Return the shape of an edit; `settings` leave nothing to the model's defaults."""
        assert settings.num_inference_steps is not None
        assert settings.guidance_scale is not None
        return cls(
            size=size,
            num_anchors=num_anchors,
            num_steps=settings.num_inference_steps,
            num_groups=num_branches(family, settings.guidance_scale, is_distilled=is_distilled),
            dtype=dtype,
            step_by_step=step_by_step,
        )


def edit_memory(
    denoiser: Blueprint,
    vae: Blueprint,
    family: Family,
    shape: StockShape,
    controls: tuple[Blueprint, ...] = (),
) -> EditMemory:
    """Return the memory that an edit of this shape needs besides the weights.

    `controls` are its ControlNets, which run before the denoiser; it holds what they return.

    Raises:
        ModelError: a denoiser whose inputs Fairy does not know.
    """
    rows = shape.num_groups if family.in_one_call else 1
    call = _model_cost(
        denoiser,
        family,
        shape.size,
        num_anchors=shape.num_anchors,
        dtype=shape.dtype,
        rows=rows,
    )
    nets = [controlnet_bytes(net, shape.size, shape.dtype, rows) for net in controls]
    returned = sum(each for _, each in nets)
    peak = max([call.peak_bytes, *(each for each, _ in nets)]) + returned
    step = call.cache_bytes * shape.num_groups // rows
    cache = step * shape.num_steps
    held = step if shape.step_by_step else cache
    return EditMemory(
        cache=cache,
        held=held,
        # Each anchor waits for the others within a layer, with what it holds there
        anchors=held + shape.num_anchors * peak,
        frame=max(peak, decoder_bytes(vae, shape.size, shape.dtype)),
    )


@lru_cache(maxsize=32)
def controlnet_bytes(
    net: Blueprint, size: tuple[int, int], dtype: torch.dtype, rows: int
) -> tuple[int, int]:
    """Return the bytes that a ControlNet holds at once, and those of what it returns."""
    model = net.build(dtype)
    inputs = denoiser_inputs(model, size, dtype, rows)
    picture = torch.empty((rows, 3, *size), dtype=dtype, device=META)
    with torch.no_grad(), counted() as live:
        down, middle = model(**inputs, controlnet_cond=picture, return_dict=False)
    return live.peak, sum(one.nbytes for one in (*down, middle))


@lru_cache(maxsize=32)
def decoder_bytes(vae: Blueprint, size: tuple[int, int], dtype: torch.dtype) -> int:
    """Return the bytes that decoding one picture holds at once."""
    model = vae.build(dtype)
    config = model.config
    is_video = type(model).__name__ in VIDEO_AUTOENCODERS
    channels = config.z_dim if is_video else config.latent_channels
    # Some autoencoders cut patches besides
    shrink = 8 * (config.get("patch_size") or 1 if is_video else 1)
    time = (1,) if is_video else ()
    shape = (1, channels, *time, size[0] // shrink, size[1] // shrink)
    with counted() as live:
        model.decode(torch.empty(shape, dtype=dtype, device=META), return_dict=False)
    return live.peak
