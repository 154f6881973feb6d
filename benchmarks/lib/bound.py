"""Lower bound of an edit's time on a device: FLOPs over the rate of matrix products.

torch counts the FLOPs on the meta device, 1 multiply-add = 2 FLOP, for the plain computation: every
frame, step and guidance branch once, with nothing shared, merged or left out.
Tests: tests/benchmarks/lib/test_bound.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from diffusers import UNet2DConditionModel
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from fairy.anchors.attention import self_attention_layers
from fairy.editors.ip2p.latents import decode_latents, encode_images
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.ip2p.session import UsedSettings
from fairy.models.blueprint import META, Blueprint

# Dense bf16, 8192³, as measured on an H200
H200_FLOPS_PER_S = 790e12
MATRIX_SIZE = {"cuda": 8192, "cpu": 1024}


def edit_flops(pipe: FairyPipeline, used: UsedSettings, num_frames: int) -> dict[str, float]:
    """Return the FLOPs of an edit by stage: "vae_encode", "anchors", "frames", "vae_decode".

    Args:
        pipe: the model.
        used: the settings that the edit ran with.
        num_frames: frames of the clip, including anchors.
    """
    num_anchors = len(used.anchor_indices)
    row, self_part = unet_flops(pipe, (used.height, used.width))
    vae_encode, vae_decode = vae_flops(pipe, (used.height, used.width))
    rows = used.num_groups * used.num_inference_steps
    return {
        "vae_encode": num_frames * vae_encode,
        # Each attends to all anchors, including itself
        "anchors": num_anchors * rows * (row + (num_anchors - 1) * self_part),
        # Each attends to itself and to the anchors
        "frames": (num_frames - num_anchors) * rows * (row + num_anchors * self_part),
        "vae_decode": num_frames * vae_decode,
    }


def unet_flops(pipe: FairyPipeline, size: tuple[int, int]) -> tuple[float, float]:
    """Return the FLOPs of one row of the UNet, and those of self-attention's scores and sums.

    Args:
        pipe: the model.
        size: (height, width) of a frame.
    """
    height, width = (x // pipe.vae_scale_factor for x in size)
    return _unet_flops(Blueprint.of(pipe.unet), pipe.tokenizer.model_max_length, height, width)


# Counting a large model takes seconds
@lru_cache
def _unet_flops(
    blueprint: Blueprint, text_tokens: int, height: int, width: int
) -> tuple[float, float]:
    unet = blueprint.build()
    rows = torch.empty(1, unet.config.in_channels, height, width, device=META)
    text = torch.empty(1, text_tokens, unet.config.cross_attention_dim, device=META)
    counter = _count(lambda: unet(rows, torch.zeros(1, device=META), encoder_hidden_states=text))
    return counter.get_total_flops(), _self_attention(counter, unet)


def vae_flops(pipe: FairyPipeline, size: tuple[int, int]) -> tuple[float, float]:
    """Return the FLOPs of encoding and of decoding one frame of size (height, width)."""
    return _vae_flops(Blueprint.of(pipe.vae), size, pipe.vae_scale_factor)


@lru_cache
def _vae_flops(
    blueprint: Blueprint, size: tuple[int, int], scale_factor: int
) -> tuple[float, float]:
    vae = blueprint.build()
    image = torch.empty(1, 3, *size, device=META)
    shape = (1, vae.config.latent_channels, *(x // scale_factor for x in size))
    latents = torch.empty(shape, device=META)
    encode = _count(lambda: encode_images(vae, image))
    decode = _count(lambda: decode_latents(vae, latents))
    return encode.get_total_flops(), decode.get_total_flops()


def matmul_flops_per_s(device: torch.device, dtype: torch.dtype) -> float:
    """Return the device's fastest rate of large square matrix products within half a second.

    It is the fastest because this is a bound: other work on the machine only makes it slower.
    """
    size = MATRIX_SIZE.get(device.type, MATRIX_SIZE["cpu"])
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    threads = torch.get_num_threads()
    timer = Timer("matrix @ matrix", globals={"matrix": matrix}, num_threads=threads)
    return 2 * size**3 / min(timer.blocked_autorange(min_run_time=0.5).times)


def _count(work: Callable[[], object]) -> FlopCounterMode:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter


def _self_attention(counter: FlopCounterMode, unet: UNet2DConditionModel) -> float:
    """Return the FLOPs of softmax(q k^T) v in all self-attention layers, without projections."""
    counts, root = counter.get_flop_counts(), type(unet).__name__
    return sum(
        flops
        for name in self_attention_layers(unet)
        for operator, flops in counts[f"{root}.{name}"].items()
        if operator not in (torch.ops.aten.mm, torch.ops.aten.addmm)
    )
