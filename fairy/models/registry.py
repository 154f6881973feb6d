"""Name -> pipeline: "mini" (bundled), a folder, a single .safetensors file, or a hub id.

Only safetensors are loaded, and a model's own code never runs.
Tests: tests/models/test_registry.py.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import diffusers.utils
import torch
from diffusers.loaders.single_file_utils import SingleFileComponentError
from huggingface_hub.errors import LocalEntryNotFoundError

from fairy.errors import ModelError, SettingsError, first_line
from fairy.models.base import DiffusionPipeline, StableDiffusionInstructPix2PixPipeline
from fairy.models.catalogue import download_command
from fairy.models.cpu_precision import fast_cpu_dtype
from fairy.models.defaults import ModelDefaults, model_defaults, unknown_words
from fairy.models.patch_autoencoder import PatchAutoencoder
from fairy.models.quiet import without_expected_messages, without_progress_bars
from fairy.models.schedulers import make_scheduler
from fairy.models.sources import ALLOWED, find_model

__all__ = [
    "ModelDefaults",
    "load_pipeline",
    "may_be_pix2pix",
    "model_defaults",
    "pipeline_config",
    "resolve_device",
    "resolve_dtype",
    "unknown_words",
]

logger = logging.getLogger(__name__)

# diffusers finds a class by its module's name only if that module was imported before.
OWN_CLASSES = (PatchAutoencoder,)

# diffusers renamed the argument in 2026 (its pull request 14205); it was torch_dtype before
DTYPE_KEYWORD = "dtype" if hasattr(diffusers.utils, "_resolve_dtype") else "torch_dtype"
# Of the autoencoder of Stable Diffusion XL
SDXL_SCALING_FACTOR = 0.13025
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load_pipeline(
    name: str | Path,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    **kwargs: Any,
) -> tuple[StableDiffusionInstructPix2PixPipeline, ModelDefaults]:
    """Load an InstructPix2Pix-type model with the scheduler from its defaults.

    Args:
        name: "mini", a folder in diffusers format, a `.safetensors` file or a hub id.
        device: "auto" (CUDA, else Apple's GPU, else CPU) or a torch device.
        dtype: "auto" (float16 on a GPU but for SDXL's autoencoder, `fast_cpu_dtype` on a CPU), a
            name or a torch dtype.
        **kwargs: passed to diffusers' `from_pretrained` or `from_single_file`. For a single file,
            `config` is a folder in diffusers format with the configuration of such a model;
            without it, diffusers downloads it from the hub.

    Returns:
        diffusers' pipeline and the model's defaults.

    Raises:
        ModelError: there is no such model, or it is unreadable or not of the InstructPix2Pix type.
        SettingsError: there is no such device or dtype.
        ValueError: an argument would load pickles or run a model's code.
    """
    _check_safe(kwargs)
    device = resolve_device(device)
    kwargs[DTYPE_KEYWORD] = resolve_dtype(dtype, device)
    if "config" in kwargs:
        kwargs["config"] = str(kwargs["config"])
    source = find_model(name)
    if isinstance(source, Path):
        kind = pipeline_config(source)["_class_name"]
        if not may_be_pix2pix(kind):
            raise ModelError(
                f"model {name} is a {kind}: this needs a model of the InstructPix2Pix type; "
                "fairy.editors.loading.load_editor takes this one"
            )
    try:
        pipe = _load(source, kwargs)
    except LocalEntryNotFoundError as error:
        raise ModelError(f"model {name}: {_not_fetched(source)}") from error
    except (OSError, ValueError, ImportError, RuntimeError, SingleFileComponentError) as error:
        # diffusers 0.39 also raises this when it could not reach the hub
        if "not fully cached locally" in str(error):
            raise ModelError(f"model {name}: {_not_fetched(source)}") from error
        raise ModelError(
            f"model {name}: cannot be loaded ({first_line(error)}); {ALLOWED}"
        ) from error
    check_channels(name, pipe.unet.config.in_channels, pipe.vae.config.latent_channels)
    # A fairy.json on the hub is not read, because diffusers does not download it
    defaults = model_defaults(kwargs.get("config", source))
    if "scheduler" not in kwargs:
        pipe.scheduler = make_scheduler(defaults.scheduler, pipe.scheduler)
    pipe.to(device)
    if dtype == "auto" and overflows_in_float16(pipe.vae):
        logger.info("the autoencoder runs in float32: it overflows in float16")
        pipe.vae.to(dtype=torch.float32)
    return pipe, defaults


def overflows_in_float16(vae: Any) -> bool:
    """Return whether an autoencoder in float16 is SDXL's, whose activations exceed 65,504.

    Its scaling factor tells it from that of Stable Diffusion 1 and 2, which is safe; the fixed
    version says that it needs no other dtype (`force_upcast`).
    """
    config = vae.config
    return bool(
        vae.dtype == torch.float16
        and config.get("scaling_factor") == SDXL_SCALING_FACTOR
        and config.get("force_upcast", True)
    )


def pipeline_config(name: str | Path) -> dict[str, Any]:
    """Return the model_index.json of a model; `_class_name` is its pipeline's class in diffusers.

    A single file is InstructPix2Pix.

    Raises:
        ModelError: no such model, or its model_index.json cannot be read.
    """
    source = find_model(name)
    if isinstance(source, Path) and source.is_file():
        return {"_class_name": "StableDiffusionInstructPix2PixPipeline"}
    try:
        config: dict[str, Any] = DiffusionPipeline.load_config(str(source))
    except (OSError, ValueError) as error:
        if isinstance(source, str):
            raise ModelError(f"model {name}: {_not_fetched(source)}") from error
        raise ModelError(
            f"model {name}: cannot be loaded ({first_line(error)}); {ALLOWED}"
        ) from error
    if not isinstance(config.get("_class_name"), str):
        raise ModelError(f"model {name}: its model_index.json names no pipeline; {ALLOWED}")
    return config


def may_be_pix2pix(pipeline: str) -> bool:
    """Return whether models of a pipeline's class can be of the InstructPix2Pix type.

    Some are saved as a plain StableDiffusionPipeline; their UNet tells.
    """
    is_later = pipeline.startswith(("StableDiffusionXL", "StableDiffusion3"))
    return pipeline.startswith(("StableDiffusion", "Fairy")) and not is_later


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the torch device for "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        SettingsError: an unknown device, or one that this machine lacks.
    """
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if has_cuda else "mps" if has_mps else "cpu")
    try:
        resolved = torch.device(device)
        num_devices = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(has_mps)}
        num_here = num_devices[resolved.type]
    except (RuntimeError, KeyError) as error:
        raise SettingsError(f"device {device!r} is unknown: use auto, cpu, cuda or mps") from error
    if (resolved.index or 0) >= num_here:
        raise SettingsError(f"device {device} is not on this machine: use auto or cpu")
    return resolved


def resolve_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """Return the torch dtype for "auto" or a name; a dtype is returned unchanged.

    Raises:
        SettingsError: an unknown name.
    """
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return fast_cpu_dtype() if device.type == "cpu" else torch.float16
    if dtype not in DTYPES:
        raise SettingsError(f"dtype {dtype!r} is unknown: use auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


def _load(source: str | Path, kwargs: dict[str, Any]) -> Any:
    # Keep the progress bars of downloads, which take minutes
    bars = without_progress_bars() if isinstance(source, Path) else nullcontext()
    with without_expected_messages(), bars:
        if isinstance(source, Path) and source.is_file():
            return StableDiffusionInstructPix2PixPipeline.from_single_file(str(source), **kwargs)
        return StableDiffusionInstructPix2PixPipeline.from_pretrained(
            str(source), use_safetensors=True, **kwargs
        )


def _check_safe(kwargs: dict[str, Any]) -> None:
    """Raise ValueError for arguments that would load pickles or run a model's code."""
    pickles = kwargs.pop("use_safetensors", None) is False
    if pickles or kwargs.get("trust_remote_code") or kwargs.get("custom_pipeline"):
        raise ValueError(
            "use_safetensors=False, trust_remote_code and custom_pipeline are not allowed: only "
            "safetensors are loaded, and a model's own code never runs"
        )


def _not_fetched(source: str | Path) -> str:
    if isinstance(source, str):
        return (
            "not in the cache, and the hub has no such model or cannot be reached: check the id, "
            f"then {download_command(source)} where there is a network; `fairy models` lists more"
        )
    return (
        "a single file has only weights; its configuration is not in the cache, and the hub cannot "
        "be reached: connect once, use the model as a folder in diffusers format, or pass "
        "config=FOLDER to from_pretrained"
    )


def check_channels(name: str | Path, in_channels: int, latent_channels: int) -> None:
    """Raise ModelError unless a UNet with these channels sees the source beside the noise."""
    needed = 2 * latent_channels
    if in_channels != needed:
        raise ModelError(
            f"model {name}: its UNet has {in_channels} input channels, but an InstructPix2Pix-type "
            f"model has {needed}; use one trained for editing by instruction, or --control ip2p "
            "with this"
        )
