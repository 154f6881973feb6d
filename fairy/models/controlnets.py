"""ControlNets of Stable Diffusion 1.5: which there are, how they are named, and loading them.

`--control canny:0.8,depth` names kinds with factors; `canny=FOLDER` takes other weights than the
published ones. `ip2p` reads the frame itself, and makes an editor of any Stable Diffusion 1.5.
Tests: tests/models/test_controlnets.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
from huggingface_hub.errors import LocalEntryNotFoundError

from fairy.errors import ModelError, SettingsError, first_line
from fairy.models.catalogue import download_command
from fairy.models.quiet import without_expected_messages, without_progress_bars
from fairy.models.registry import (
    DTYPE_KEYWORD,
    may_be_pix2pix,
    pipeline_config,
    resolve_device,
    resolve_dtype,
)
from fairy.models.sources import find_model
from fairy.models.stock import check_offload, placed, split_scale

# What is seen of a frame -> the weights on the hub for Stable Diffusion 1.5
CONTROLNETS = {
    "ip2p": "lllyasviel/control_v11e_sd15_ip2p",
    "canny": "lllyasviel/control_v11p_sd15_canny",
    "depth": "lllyasviel/control_v11f1p_sd15_depth",
    "pose": "lllyasviel/control_v11p_sd15_openpose",
    "lineart": "lllyasviel/control_v11p_sd15_lineart",
}
PIPELINE = "StableDiffusionControlNetPipeline"
_EDITS_ITSELF = (
    "model {} edits by itself (InstructPix2Pix) and takes no ControlNet: leave --control out, or "
    "use a plain checkpoint of Stable Diffusion 1.5"
)


@dataclass(frozen=True)
class Control:
    """One ControlNet of an edit: what it sees, its weights, and how much it counts."""

    kind: str
    model: str
    scale: float


def read_controls(entries: Sequence[str]) -> tuple[Control, ...]:
    """Return what `--control` names, each entry "KIND[=MODEL][:SCALE]".

    Raises:
        SettingsError: an unknown kind, a kind that is there twice, or a factor below 0.

    >>> read_controls(["ip2p", "canny=own/net:0.5"])[1]
    Control(kind='canny', model='own/net', scale=0.5)
    """
    found: dict[str, Control] = {}
    for entry in entries:
        name, scale = split_scale(entry)
        kind, _, model = name.partition("=")
        if kind not in CONTROLNETS:
            known = ", ".join(CONTROLNETS)
            raise SettingsError(f"control {entry!r} is unknown: use {known}, as in canny:0.8")
        if kind in found:
            raise SettingsError(f"control {kind} is given twice: give each kind once")
        if not 0 <= scale < float("inf"):
            raise SettingsError(f"control {entry!r}: the factor must be at least 0")
        found[kind] = Control(kind, model or CONTROLNETS[kind], scale)
    return tuple(found.values())


def load_controlled(
    name: str,
    controls: Sequence[Control],
    *,
    device: str = "auto",
    dtype: str = "auto",
    offload: str | None = None,
) -> Any:
    """Return diffusers' pipeline of a Stable Diffusion 1.5 checkpoint with its ControlNets.

    Args:
        name: a folder in diffusers format, a .safetensors file or a hub id.
        controls: at least one.
        device: "auto" or a torch device.
        dtype: "auto" or a name.
        offload: "model" or "sequential".

    Raises:
        ModelError: the checkpoint or a ControlNet cannot be found or loaded, or they do not fit.
        SettingsError: there is no such device.
    """
    where = resolve_device(device)
    check_offload(offload, where)
    kwargs: dict[str, Any] = {DTYPE_KEYWORD: resolve_dtype(dtype, where)}
    source = find_model(name)
    kind = pipeline_config(source)["_class_name"]
    if not may_be_pix2pix(kind):
        raise ModelError(
            f"model {name} is a {kind}: --control needs a checkpoint of Stable Diffusion 1.5"
        )
    # The kind of a single file is known once it is loaded
    if "Pix2Pix" in kind and not Path(source).is_file():
        raise ModelError(_EDITS_ITSELF.format(name))
    nets = [_loaded(one.model, diffusers.ControlNetModel, kwargs) for one in controls]
    pipeline = getattr(diffusers, PIPELINE)
    pipe = _loaded(name, pipeline, kwargs | {"controlnet": nets if len(nets) > 1 else nets[0]})
    _check_fit(name, pipe.unet, dict(zip((one.model for one in controls), nets, strict=True)))
    return placed(pipe, where, offload)


def _loaded(name: str, kind: Any, kwargs: dict[str, Any]) -> Any:
    """Return a model or a pipeline of a class, from safetensors."""
    path = Path(name).expanduser()
    if not path.exists() and name.count("/") != 1:
        raise ModelError(f"{name}: no such folder or file; give a folder or a hub id")
    bars = without_progress_bars() if path.exists() else nullcontext()
    try:
        with without_expected_messages(), bars:
            if path.is_file():
                return kind.from_single_file(str(path), **kwargs)
            return kind.from_pretrained(str(path if path.exists() else name), **kwargs,
                                        use_safetensors=True)  # fmt: skip
    except LocalEntryNotFoundError as error:
        raise ModelError(f"{name}: not in the cache; {_download(name)}") from error
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        if not path.exists():
            raise ModelError(f"{name}: not in the cache; {_download(name)}") from error
        raise ModelError(f"{name}: cannot be loaded ({first_line(error)})") from error


def _download(name: str) -> str:
    return f"{download_command(name)} where there is a network"


def _check_fit(name: str, unet: Any, nets: dict[str, Any]) -> None:
    if unet.config.in_channels != unet.config.out_channels:
        raise ModelError(_EDITS_ITSELF.format(name))
    for net, model in nets.items():
        theirs, ours = (part.config.cross_attention_dim for part in (model, unet))
        if theirs != ours:
            raise ModelError(
                f"control {net}: made for text of {theirs} channels, but {name} has {ours}: use "
                "the ControlNets of its version of Stable Diffusion"
            )
