"""Load the editor that the settings name.

InstructPix2Pix of Stable Diffusion 1.5's kind runs in Fairy's own loop (`ip2p/`), every other
pipeline in diffusers' (`stock/`). Tests: tests/editors/test_loading.py, tests/jobs/test_edit.py,
tests/editors/ip2p/levers/test_tiny_decoder.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fairy.editors.compute import check_compile, check_fp8, compile_unet, to_fp8
from fairy.editors.ip2p.levers.tiny_decoder import load_decoder
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.editors.stock.editor import StockEditor
from fairy.editors.stock.families import family_of
from fairy.errors import SettingsError
from fairy.models.controlnets import load_controlled, read_controls
from fairy.models.defaults import ModelDefaults, model_defaults
from fairy.models.ip_adapter import load_ip_adapter
from fairy.models.pointwise import make_pointwise
from fairy.models.registry import may_be_pix2pix, pipeline_config, resolve_device
from fairy.models.stock import load_loras, load_stock_pipeline
from fairy.options import options_of
from fairy.settings import Compute

# What `load_editor` returns
LoadedEditor = FairyPipeline | StockEditor
# Of `Compute`, what an edit reads and not `load_editor`
OF_AN_EDIT = frozenset({"backend", "frame_batch_size", "anchor_cache", "anchor_cache_device"})


def what_is_loaded(settings: Compute) -> tuple[Any, ...]:
    """Return the settings that `load_editor` reads: equal for settings with the same editor."""
    names = (field.name for field in options_of(Compute) if field.name not in OF_AN_EDIT)
    return tuple(getattr(settings, name) for name in names)


def load_editor(settings: Compute) -> LoadedEditor:
    """Return the editor that the settings name, on its device.

    Raises:
        ModelError: the model, the decoder or a LoRA cannot be found or loaded.
        SettingsError: the device is not there or lacks float8 or a compiler, a package is missing,
            or an option is for another kind of model.
    """
    if settings.fp8:
        check_fp8(resolve_device(settings.device))
    if settings.compile:
        check_compile(resolve_device(settings.device))
    editor = _load(settings)
    # Of LoRAs, too
    make_pointwise(editor if isinstance(editor, FairyPipeline) else editor.pipe)
    return editor


def _load(settings: Compute) -> LoadedEditor:
    if settings.control:
        return _load_controlled(settings)
    pipeline = pipeline_config(settings.model)["_class_name"]
    if may_be_pix2pix(pipeline):
        return _load_own(settings)
    return _load_stock(settings, pipeline)


def _load_own(settings: Compute) -> FairyPipeline:
    for name in ("quantize", "offload"):
        if getattr(settings, name) is not None:
            raise SettingsError(f"{name}: this small model needs none; leave --{name} out")
    pipe = FairyPipeline.from_pretrained(
        settings.model, device=settings.device, dtype=settings.dtype
    )
    load_loras(pipe, settings.lora)
    if settings.ip_adapter is not None:
        load_ip_adapter(pipe, settings.ip_adapter)
    if settings.decoder is not None:
        pipe.decoder = load_decoder(settings.decoder, pipe, settings.model)
    if settings.fp8:
        to_fp8(pipe.unet)
    if settings.compile:
        compile_unet(pipe.unet)
    return pipe


def _load_controlled(settings: Compute) -> StockEditor:
    _check_stock(settings)
    controls = read_controls(settings.control)
    if settings.quantize is not None:
        raise SettingsError("quantize: not with --control; leave one of them out")
    pipe = load_controlled(
        settings.model,
        controls,
        device=settings.device,
        dtype=settings.dtype,
        offload=settings.offload,
    )
    steps = load_loras(pipe, settings.lora)
    editor = StockEditor(pipe)
    if settings.compile:
        compile_unet(pipe.unet)
    defaults = _defaults(editor.defaults, settings.model, steps)
    return StockEditor(pipe, defaults=defaults, controls=controls)


def _check_stock(settings: Compute) -> None:
    if settings.ip_adapter is not None:
        raise SettingsError("ip_adapter: for InstructPix2Pix models only; leave --ip-adapter out")
    if settings.decoder is not None:
        raise SettingsError("decoder: for InstructPix2Pix models only; leave --decoder out")
    if settings.fp8:
        raise SettingsError("fp8: for InstructPix2Pix models only; use --quantize fp8")


def _load_stock(settings: Compute, pipeline: str) -> StockEditor:
    family = family_of(pipeline)
    _check_stock(settings)
    pipe: Any = load_stock_pipeline(
        settings.model,
        pipeline,
        denoiser=family.denoiser,
        device=settings.device,
        dtype=settings.dtype,
        quantize=settings.quantize,
        offload=settings.offload,
    )
    steps = load_loras(pipe, settings.lora)
    editor = StockEditor(pipe)
    if settings.compile:
        editor.denoiser.compile_repeated_blocks()
    return StockEditor(pipe, defaults=_defaults(editor.defaults, settings.model, steps))


def _defaults(defaults: ModelDefaults, model: str, steps: int | None) -> ModelDefaults:
    """Return a family's defaults, with those beside the model and of a distilling LoRA."""
    defaults = model_defaults(model, defaults)
    if steps is None:
        return defaults
    return replace(defaults, num_inference_steps=steps, guidance_scale=1.0)
