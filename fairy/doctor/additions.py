"""Weights beside a model: ControlNets and an IP-Adapter, for `fairy doctor --plan`, none loaded.

Tests: tests/doctor/test_stock_plan.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import diffusers
import transformers
from huggingface_hub import try_to_load_from_cache
from safetensors import safe_open

from fairy.errors import ModelError
from fairy.models.blueprint import Blueprint
from fairy.models.catalogue import download_command
from fairy.models.controlnets import Control
from fairy.models.ip_adapter import ENCODER, place_of


def sum_weights(parts: Iterable[Blueprint]) -> int:
    """Return the number of weights of all parts."""
    return sum(part.num_parameters for part in parts)


def with_controls(
    parts: dict[str, Blueprint], controls: Sequence[Control]
) -> tuple[dict[str, Blueprint], tuple[Blueprint, ...]]:
    """Return a checkpoint's parts as its ControlNets need them, and the ControlNets.

    A ControlNet that is no folder here has the shape that diffusers gives those of the UNet, as
    the published ones have.
    """
    unet = parts["unet"]
    # "sd15" is InstructPix2Pix, whose UNet sees the source besides
    unet = unet.changed(in_channels=unet.settings["out_channels"])
    plain = diffusers.ControlNetModel.from_unet(unet.build(), load_weights_from_unet=False)
    nets = (_own_shape(Path(one.model).expanduser()) for one in controls)
    return {**parts, "unet": unet}, tuple(net or Blueprint.of(plain) for net in nets)


def _own_shape(folder: Path) -> Blueprint | None:
    config = folder / "config.json"
    if not config.is_file():
        return None
    return Blueprint(diffusers.ControlNetModel, config.read_text(encoding="utf-8"))


def num_adapter_weights(adapter: str) -> int:
    """Return the number of weights of an IP-Adapter ("FILE[:SCALE]") and its image encoder.

    Raises:
        ModelError: it is not on this machine.
    """
    base, folder, name, _ = place_of(adapter)
    weights, config = (
        _here(base, f"{folder}/{one}".lstrip("/")) for one in (name, f"{ENCODER}/config.json")
    )
    if weights is None or config is None:
        raise ModelError(f"ip_adapter {adapter}: not on this machine; {download_command(base)}")
    with safe_open(weights, framework="pt") as file:
        own: int = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    kind = transformers.CLIPVisionModelWithProjection
    return own + Blueprint(kind, config.read_text(encoding="utf-8")).num_parameters


def _here(base: str, name: str) -> Path | None:
    """Return a file of a folder, or of a repository in the hub's cache; None if it is not here."""
    if Path(base).is_dir():
        path = Path(base) / name
        return path if path.is_file() else None
    found = try_to_load_from_cache(base, name)
    return Path(found) if isinstance(found, str) else None
