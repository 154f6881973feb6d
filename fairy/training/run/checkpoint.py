"""Checkpoints of a run: a folder per step, whole or not there, in safetensors and JSON.

`checkpoint-000500/` holds `model.safetensors`, `ema.safetensors`, `optimizer.safetensors` and
`state.json`. No random state: every step draws from its own seed. Only the newest is kept.
Weights that a finetuning run takes unchanged from its model are not saved again. Processes that
average their weights differ between two averages: `process-1/` holds what is process 1's own.
Tests: tests/training/run/test_checkpoint.py.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fairy.errors import SettingsError
from fairy.training.config import TrainConfig
from fairy.training.model.ema import Ema

PREFIX = "checkpoint-"


def find_checkpoint(output: Path) -> Path | None:
    """Return the newest whole checkpoint of a run, or None."""
    return max(_checkpoints(output), default=None)


def save_checkpoint(
    config: TrainConfig, step: int, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer
) -> Path:
    """Write the state after `step` steps; it appears by one rename, then older ones go."""
    final = config.output / f"{PREFIX}{step:06d}"
    if final.exists():
        return final
    hidden = config.output / f".{final.name}"
    shutil.rmtree(hidden, ignore_errors=True)
    hidden.mkdir(parents=True)
    save_file(_contiguous(_saved(config.stage, model)), hidden / "model.safetensors")
    save_file(_contiguous(ema.state_dict()), hidden / "ema.safetensors")
    save_file(_flatten(optimizer), hidden / "optimizer.safetensors")
    for folder in config.output.glob(f"{hidden.name}-process-*"):
        os.replace(folder, hidden / folder.name.removeprefix(f"{hidden.name}-"))
    state = {"step": step, "config": asdict(config)}
    (hidden / "state.json").write_text(json.dumps(state, default=str, indent=1) + "\n")
    os.replace(hidden, final)
    for older in _checkpoints(config.output):
        if older != final:
            shutil.rmtree(older)
    return final


def _checkpoints(output: Path) -> list[Path]:
    """Return the checkpoints of a run; a copy that a person named otherwise is none."""
    numbered = f"{PREFIX}{'[0-9]' * 6}"
    found = {*output.glob(numbered), *output.glob(f"{numbered}[0-9]*")}
    return [path for path in found if path.name.removeprefix(PREFIX).isdecimal()]


def save_process(
    config: TrainConfig,
    step: int,
    process: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write what differs in a process other than the first; `save_checkpoint` takes it in."""
    folder = config.output / f".{PREFIX}{step:06d}-process-{process}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file(_contiguous(_saved(config.stage, model)), folder / "model.safetensors")
    save_file(_flatten(optimizer), folder / "optimizer.safetensors")


def load_checkpoint(
    folder: Path,
    model: nn.Module,
    ema: Ema,
    optimizer: torch.optim.Optimizer,
    process: int = 0,
) -> int:
    """Load a checkpoint into a run's parts; return the number of steps done.

    Args:
        folder: the checkpoint.
        model: of the run.
        ema: of the run.
        optimizer: of the run.
        process: whose own weights are loaded; the first's if it left none.

    Raises:
        SettingsError: the checkpoint is of a model with other sizes.
    """
    own = folder / f"process-{process}"
    own = own if own.is_dir() else folder
    try:
        _load_weights(model, load_file(own / "model.safetensors"))
        ema.load_state_dict(load_file(folder / "ema.safetensors"))
    except RuntimeError as error:
        raise SettingsError(
            f"{folder}: not of a model with these sizes; resume with the recipe it was made with"
        ) from error
    _unflatten(optimizer, load_file(own / "optimizer.safetensors"))
    return int(read_state(folder)["step"])


def read_state(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's `state.json`: its step, and the settings it was made with."""
    state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return state


def _saved(stage: str, model: nn.Module) -> dict[str, Tensor]:
    """Return what only the run knows. A new autoencoder's encoder is fixed, but was computed."""
    state: dict[str, Tensor] = model.state_dict()
    return state if stage != "finetune" else {n: state[n] for n in _trained(model)}


def _load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights; only those that are not trained may be missing.

    Raises:
        RuntimeError: others are missing, unknown or of another shape.
    """
    result = model.load_state_dict(weights, strict=False)
    wrong = [*result.unexpected_keys, *(set(result.missing_keys) & _trained(model))]
    if wrong:
        raise RuntimeError(f"weights that do not fit: {wrong[0]}")


def _trained(model: nn.Module) -> set[str]:
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


def _flatten(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Name every tensor of an optimizer's state `parameter.entry`, as in `12.exp_avg`."""
    state = optimizer.state_dict()["state"]
    return _contiguous(
        {f"{index}.{key}": value for index, entry in state.items() for key, value in entry.items()}
    )


def _unflatten(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy to the CPU, each tensor in its own memory, as safetensors wants them."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
