"""Save and load a run's checkpoints: one folder each, written atomically, safetensors and JSON.

`checkpoint-000500/` has `model.safetensors`, `ema.safetensors`, `optimizer.safetensors` and
`state.json`. It has no random state, because every step draws from its own seed. Only the newest is
kept. Weights that a finetuning run does not train are not saved. Processes that average their
weights differ between two averages, so `process-1/` has process 1's own state.
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
    """Return the newest complete checkpoint of a run, or None."""
    return max(_checkpoints(output), default=None)


def save_checkpoint(
    config: TrainConfig, step: int, model: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer
) -> Path:
    """Write the state after `step` steps with one final rename, then delete older checkpoints."""
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
    """Return the checkpoints of a run; copies under other names do not count."""
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
    """Write another process's own state; `save_checkpoint` adds it to the checkpoint."""
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
        model: the run's model.
        ema: the run's averages.
        optimizer: the run's optimizer.
        process: the process whose own state to load; the first's if it saved none.

    Raises:
        SettingsError: the checkpoint's model has other sizes.
    """
    own = folder / f"process-{process}"
    own = own if own.is_dir() else folder
    try:
        _load_weights(model, load_file(own / "model.safetensors"))
        ema.load_state_dict(load_file(folder / "ema.safetensors"))
    except RuntimeError as error:
        raise SettingsError(
            f"{folder}: its sizes are different; resume with the recipe that it was made with"
        ) from error
    _unflatten(optimizer, load_file(own / "optimizer.safetensors"))
    return int(read_state(folder)["step"])


def read_state(folder: Path) -> dict[str, Any]:
    """Read a checkpoint's `state.json`: its step, and the settings it was made with."""
    state: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return state


def _saved(stage: str, model: nn.Module) -> dict[str, Tensor]:
    """Return the weights to save: trained ones, and a new autoencoder's computed encoder."""
    state: dict[str, Tensor] = model.state_dict()
    return state if stage != "finetune" else {n: state[n] for n in _trained(model)}


def _load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights; only weights that are not trained may be missing.

    Raises:
        RuntimeError: a trained weight is missing, or one is unknown or has another shape.
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
    """Copy each tensor to the CPU into its own memory, as safetensors requires."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
