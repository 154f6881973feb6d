"""Set up a run before its first step: device, batch, checkpoint, changed settings.

Tests: tests/training/run/test_trainer.py.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import torch
from accelerate import Accelerator

from fairy.errors import SettingsError
from fairy.training.config import TrainConfig
from fairy.training.data.pairs import Parts
from fairy.training.run.checkpoint import find_checkpoint, read_state
from fairy.training.run.precision import choose_precision

logger = logging.getLogger(__name__)

# Settings that a resumed run may change without a warning.
FREE_SETTINGS = {"resume", "max_minutes", "output", "images", "autoencoder", "start", "device"}
FREE_SETTINGS |= {"pool_workers"}
EXPORT_FOLDERS = {"autoencoder": "autoencoder", "editor": "pipeline", "finetune": "pipeline"}


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Choose the device, and mixed precision on CUDA."""
    on_cuda = torch.cuda.is_available() and config.device != "cpu"
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise SettingsError(f"device {config.device}: torch finds no CUDA device; use cpu or auto")
    if config.device.startswith("cuda:"):
        torch.cuda.set_device(config.device)
    mixed = choose_precision(config, on_cuda=on_cuda) == "bf16 mixed precision"
    return Accelerator(mixed_precision="bf16" if mixed else "no", cpu=not on_cuda)


def split_batch(config: TrainConfig, accelerator: Accelerator) -> Parts:
    """Split the global batch over processes and, if it is larger, over passes."""
    process, num_processes = accelerator.process_index, accelerator.num_processes
    at_once = config.batch_size * num_processes
    wanted = config.global_batch_size or at_once
    if wanted % at_once:
        raise SettingsError(
            f"global_batch_size is {wanted}: it must be a multiple of batch_size "
            f"{config.batch_size} times {num_processes} processes"
        )
    return Parts(process, num_processes, wanted // at_once)


def checkpoint_to_resume(config: TrainConfig) -> Path | None:
    """Return the checkpoint to continue from; None for a new run."""
    checkpoint = find_checkpoint(config.output)
    if config.resume and checkpoint is None:
        raise SettingsError(f"{config.output}: no checkpoint to resume; leave --resume out")
    if checkpoint is not None and not config.resume:
        raise SettingsError(
            f"{config.output}: has a run already; add --resume to continue it, or use a new folder"
        )
    finished = config.output / EXPORT_FOLDERS[config.stage]
    if checkpoint is None and finished.exists():
        raise SettingsError(f"{finished}: exists already and would be replaced; use a new folder")
    return checkpoint


def log_changes(checkpoint: Path, config: TrainConfig) -> None:
    """Log which settings differ from those that the checkpoint was made with."""
    before = read_state(checkpoint)["config"]
    now = json.loads(json.dumps(vars(config), default=str))
    # If the checkpoint is older than a setting, that setting had its default.
    for name in sorted(set(now) & set(before) - FREE_SETTINGS):
        if now[name] != before[name]:
            logger.warning("resumed with %s = %s, was %s", name, now[name], before[name])
