"""Compute the memory that an edit needs; `fairy doctor --plan 1280x720` prints it.

It loads no model and needs no clip: it uses the formula of `fairy.editors.ip2p.memory`, which also
chooses how many frames an edit takes at a time. Sizes are (height, width); "8 GB" means 8 GiB.
Tests: tests/doctor/test_memory_plan.py; results and how they were checked: docs/memory.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import torch

from fairy.doctor.additions import num_adapter_weights, sum_weights, with_controls
from fairy.editors.batches import USABLE_FRACTION, EditMemory, choose_frame_batch_size
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.memory import EditShape, edit_memory
from fairy.editors.stock.families import family_of
from fairy.editors.stock.memory import StockShape
from fairy.editors.stock.memory import edit_memory as edit_memory_of_stock
from fairy.errors import SettingsError
from fairy.media.frames import fit_size
from fairy.models.blueprint import Blueprint, blueprints
from fairy.models.controlnets import PIPELINE as CONTROLLED
from fairy.models.controlnets import read_controls
from fairy.models.defaults import ModelDefaults, model_defaults
from fairy.models.registry import check_channels, may_be_pix2pix, pipeline_config, resolve_dtype
from fairy.settings import EditConfig
from fairy.system import GIB

CARDS_GB = (8, 12, 16, 24, 48, 80)
# Memory in use before the first tensor. CUDA: a typical value for context and libraries, not
# measured here. CPU: a process with codecs, measured by benchmarks/memory/memory_peaks.py
TAKEN_BYTES = {"cuda": GIB // 2, "cpu": 600 * 10**6}


@dataclass(frozen=True)
class Fit:
    """How many frames at a time fit, and the peak memory in bytes with that many."""

    num_frames: int
    peak: int


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """The memory that an edit needs on one kind of device.

    Attributes:
        device_type: "cuda" or "cpu".
        shape: size, anchors, steps, guidance and precision of the edit.
        weights: bytes of the models.
        near: what the edit needs besides the weights, with the anchors' cache on the device.
        far: the same with the cache in the host's memory; on the CPU the same as `near`.
        num_frames: frames at a time that the user asked for; None for as many as fit.
        other_way: what `far` is, and the option for it.
    """

    device_type: str
    shape: EditShape | StockShape
    weights: int
    near: EditMemory
    far: EditMemory
    num_frames: int | None
    other_way: tuple[str, str] = ("cache on the host", "--anchor-cache-device cpu")

    def fit(self, num_bytes: int, *, cache_far: bool = False) -> Fit | None:
        """Return what fits into `num_bytes` of memory; None if not even one frame does."""
        memory = self.far if cache_far else self.near
        taken = TAKEN_BYTES[self.device_type] + self.weights
        chosen = choose_frame_batch_size(self.device_type, num_bytes - taken, memory)
        num_frames = self.num_frames or chosen
        peak = memory.peak(num_frames)
        if peak > (num_bytes - taken) * USABLE_FRACTION["cuda"]:
            return None
        return Fit(num_frames, taken + peak)

    def least(self, *, cache_far: bool = False) -> int:
        """Return the peak in bytes with one frame at a time."""
        memory = self.far if cache_far else self.near
        return TAKEN_BYTES[self.device_type] + self.weights + memory.peak(1)


def plan_memory(
    clip_size: tuple[int, int], config: EditConfig, device_type: str = "cuda"
) -> MemoryPlan:
    """Return the memory that an edit of a clip of `clip_size` needs on a "cuda" or "cpu" device.

    Raises:
        ModelError: no such model, or its configuration cannot be read.
    """
    index = {} if config.model == "sd15" else pipeline_config(config.model)
    if config.control or not may_be_pix2pix(index.get("_class_name", "StableDiffusion")):
        return _plan_stock(index, clip_size, config, device_type)
    parts, defaults = blueprints(config.model)
    unet, vae = parts["unet"].settings, parts["vae"].settings
    check_channels(config.model, unet["in_channels"], vae["latent_channels"])
    adapter = 0 if config.ip_adapter is None else num_adapter_weights(config.ip_adapter)
    shape = _shape(parts, defaults, clip_size, config, device_type)
    near = edit_memory(parts["unet"], parts["vae"], shape)
    far = near
    if device_type != "cpu":
        far = edit_memory(parts["unet"], parts["vae"], replace(shape, cache_far=True))
    return MemoryPlan(
        device_type=device_type,
        shape=shape,
        weights=(sum_weights(parts.values()) + adapter) * shape.dtype.itemsize,
        near=near,
        far=far,
        num_frames=config.frame_batch_size,
    )


def _plan_stock(
    index: dict[str, Any], clip_size: tuple[int, int], config: EditConfig, device_type: str
) -> MemoryPlan:
    """Return the plan of an edit with a stock pipeline, from its configuration alone."""
    family = family_of(CONTROLLED if config.control else index["_class_name"])
    if config.ip_adapter is not None:
        raise SettingsError("ip_adapter: for InstructPix2Pix models only; leave --ip-adapter out")
    parts, _ = blueprints(config.model)
    parts.pop("controlnet", None)
    nets: tuple[Blueprint, ...] = ()
    if config.control:
        parts, nets = with_controls(parts, read_controls(config.control))
    is_distilled = bool(index.get("is_distilled"))
    settings = model_defaults(config.model, family.defaults(is_distilled)).fill(config)
    assert settings.size is not None
    dtype = resolve_dtype(config.dtype, torch.device(device_type))
    if config.dtype == "auto" and device_type != "cpu" and family.denoiser == "transformer":
        dtype = torch.bfloat16
    size = fit_size(*clip_size, size=settings.size, multiple=family.grid)
    shape = StockShape.of(
        family, settings, size, config.num_anchors, dtype=dtype, is_distilled=is_distilled
    )
    denoiser, vae = parts[family.denoiser], parts["vae"]
    return MemoryPlan(
        device_type=device_type,
        shape=shape,
        weights=sum_weights([*parts.values(), *nets]) * dtype.itemsize,
        near=edit_memory_of_stock(denoiser, vae, family, shape, nets),
        far=edit_memory_of_stock(denoiser, vae, family, replace(shape, step_by_step=True), nets),
        num_frames=config.frame_batch_size or 1,
        other_way=("step by step", "--anchor-cache step"),
    )


def _shape(
    parts: dict[str, Blueprint],
    defaults: ModelDefaults,
    clip_size: tuple[int, int],
    config: EditConfig,
    device_type: str,
) -> EditShape:
    grid = 2 ** (len(parts["vae"].build().config.block_out_channels) - 1)
    num_tokens = parts["text_encoder"].build().config.max_position_embeddings
    settings = defaults.fill(config)
    assert settings.size is not None
    assert settings.num_inference_steps is not None
    assert settings.guidance_scale is not None
    assert settings.image_guidance_scale is not None
    return EditShape(
        size=fit_size(*clip_size, size=settings.size, multiple=grid),
        num_anchors=config.num_anchors,
        num_steps=settings.num_inference_steps,
        guidance=Guidance(settings.guidance_scale, settings.image_guidance_scale),
        prompt_shape=(num_tokens, parts["unet"].build().config.cross_attention_dim),
        dtype=resolve_dtype(config.dtype, torch.device(device_type)),
        backend="sdpa" if config.backend == "auto" else config.backend,
        on_host=device_type == "cpu",
    )


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) for text such as "1280x720", which has the width first.

    Raises:
        SettingsError: the text has another form, or a side is 0.
    """
    found = re.fullmatch(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*", text)
    if found is None or "0" in (found[1].lstrip("0") or "0", found[2].lstrip("0") or "0"):
        raise SettingsError(f"size {text!r}: give the clip's width and height, as in 1280x720")
    return int(found[2]), int(found[1])


def parse_memory(text: str) -> int:
    """Return the bytes for "8GB", "8 GiB" or "8", which all mean GiB, as cards are labelled.

    Raises:
        SettingsError: the text has another form.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:gi?b?)?\s*", text, re.IGNORECASE)
    if found is None:
        raise SettingsError(f"--memory {text!r}: give gigabytes, as in 8GB")
    return int(float(found[1]) * GIB)
