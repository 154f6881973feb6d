"""Loading a stock pipeline of diffusers, quantised, offloaded or with LoRA as diffusers does it.

Only safetensors are loaded, and a model's own code never runs.
Tests: tests/models/test_stock.py.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import diffusers
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from fairy.errors import ModelError, SettingsError, first_line, require_package
from fairy.models.quiet import without_expected_messages, without_progress_bars
from fairy.models.registry import DTYPE_KEYWORD, resolve_device, resolve_dtype
from fairy.models.sources import find_model

# diffusers' name for where a LoRA is
SOURCE = "pretrained_model_name_or_path_or_dict"
# Precision -> (its name in diffusers, arguments, the package that computes in it)
QUANTIZED: dict[str, tuple[str, dict[str, Any], str]] = {
    "int8": ("bitsandbytes_8bit", {"load_in_8bit": True}, "bitsandbytes"),
    "nf4": (
        "bitsandbytes_4bit",
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        "bitsandbytes",
    ),
    "fp8": ("torchao", {"quant_type": "float8wo"}, "torchao"),
}
# As in Qwen-Image-Edit-2511-Lightning-4steps-V1.0: distilled for so many steps, without guidance
_STEPS = re.compile(r"(\d+)[-_ ]?steps?\b", re.IGNORECASE)


def load_stock_pipeline(
    name: str,
    pipeline: str,
    *,
    denoiser: str,
    device: str = "auto",
    dtype: str = "auto",
    quantize: str | None = None,
    offload: str | None = None,
) -> Any:
    """Return a pipeline on its device.

    Args:
        name: a folder in diffusers format or a hub id.
        pipeline: its class in diffusers.
        denoiser: component that is quantised, with the text encoders.
        device: "auto" or a torch device.
        dtype: "auto" (bfloat16 on a GPU, float32 on the CPU) or a name.
        quantize: a key of `QUANTIZED`.
        offload: "model" or "sequential".

    Raises:
        ModelError: the model cannot be found or loaded.
        SettingsError: a package or a device is missing.
    """
    where = resolve_device(device)
    precision = resolve_dtype(dtype, where)
    if dtype == "auto" and where.type != "cpu" and denoiser == "transformer":
        # Their activations leave float16's range
        precision = torch.bfloat16
    if pipeline == "OmniGenPipeline" and importlib.util.find_spec("torchvision") is None:
        raise SettingsError(f"model {name}: OmniGen needs torchvision: pip install torchvision")
    kwargs: dict[str, Any] = {DTYPE_KEYWORD: precision, "use_safetensors": True}
    if quantize is not None:
        kwargs["quantization_config"] = _quantization(quantize, denoiser, precision)
    check_offload(offload, where)
    source = find_model(name)
    bars = without_progress_bars() if isinstance(source, Path) else nullcontext()
    try:
        with without_expected_messages(), bars:
            pipe = getattr(diffusers, pipeline).from_pretrained(str(source), **kwargs)
    except LocalEntryNotFoundError as error:
        raise ModelError(f"model {name}: not in the cache, nor on the hub") from error
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ModelError(f"model {name}: cannot be loaded ({first_line(error)})") from error
    return placed(pipe, where, offload)


def check_offload(offload: str | None, where: torch.device) -> None:
    """Refuse to offload weights to where they already are.

    Raises:
        SettingsError: the device is the CPU.
    """
    if offload is not None and where.type == "cpu":
        raise SettingsError("offload: the weights are on the CPU already; leave it out")


def placed(pipe: Any, where: torch.device, offload: str | None) -> Any:
    """Return a pipeline on its device, or with diffusers' hooks that bring it there in parts."""
    if offload == "model":
        pipe.enable_model_cpu_offload(device=where)
    elif offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=where)
    else:
        pipe.to(where)
    return pipe


def load_loras(pipe: Any, loras: Sequence[str]) -> int | None:
    """Load LoRAs, each "NAME" or "NAME:SCALE"; return the steps that one was distilled for.

    A name is a .safetensors file, a folder, a hub id, or a file of a hub id as in owner/name/file.

    Raises:
        ModelError: one cannot be found or loaded, or is no safetensors file.
        SettingsError: the package peft is missing, or the pipeline takes no LoRA.
    """
    if not loras:
        return None
    require_package("peft", "lora", "lora")
    if not hasattr(pipe, "load_lora_weights"):
        raise SettingsError(f"lora: {type(pipe).__name__} takes none; leave --lora out")
    names, scales, steps = [], [], None
    for index, lora in enumerate(loras):
        name, scale = split_scale(lora)
        steps = distilled_steps(name) or steps
        adapter = f"lora_{index}"
        try:
            pipe.load_lora_weights(**_weights(name), adapter_name=adapter, use_safetensors=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"LoRA {name}: cannot be loaded ({first_line(error)})") from error
        names.append(adapter)
        scales.append(scale)
    pipe.set_adapters(names, scales)
    return steps


def split_scale(lora: str) -> tuple[str, float]:
    """Return name and factor of "NAME:SCALE"; the factor is 1 where none is given.

    >>> split_scale("style.safetensors:0.8"), split_scale("C:/style.safetensors")
    (('style.safetensors', 0.8), ('C:/style.safetensors', 1.0))
    """
    name, colon, scale = lora.rpartition(":")
    try:
        return (name, float(scale)) if colon else (lora, 1.0)
    except ValueError:
        return lora, 1.0


def distilled_steps(name: str) -> int | None:
    """Return the steps that a LoRA's name says it was distilled for.

    >>> distilled_steps("lightx2v/Qwen-Image-Edit-2511-Lightning-4steps-V1.0.safetensors")
    4
    """
    found = _STEPS.search(Path(name).name)
    return int(found[1]) if found else None


def _weights(name: str) -> dict[str, str]:
    """Return diffusers' arguments for a LoRA's name."""
    path = Path(name).expanduser()
    if path.suffix and path.suffix != ".safetensors" and path.exists():
        raise ModelError(f"LoRA {name}: only .safetensors files are loaded")
    if path.is_file():
        return {SOURCE: str(path.parent), "weight_name": path.name}
    if not path.exists() and ("/" not in name or name.startswith((".", "/", "~"))):
        raise ModelError(f"LoRA {name}: no such file; give a .safetensors file or a hub id")
    if not path.exists() and name.count("/") > 1:
        owner, repository, file = name.split("/", 2)
        return {
            "pretrained_model_name_or_path_or_dict": f"{owner}/{repository}",
            "weight_name": file,
        }
    return {SOURCE: name}


def _quantization(quantize: str, denoiser: str, dtype: torch.dtype) -> Any:
    backend, arguments, package = QUANTIZED[quantize]
    require_package(package, f"quantize {quantize}", "quantize")
    if quantize == "nf4":
        arguments = {**arguments, "bnb_4bit_compute_dtype": dtype}
    return diffusers.PipelineQuantizationConfig(
        quant_backend=backend,
        quant_kwargs=arguments,
        components_to_quantize=[denoiser, "text_encoder", "text_encoder_2"],
    )
