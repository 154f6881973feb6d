"""The training loop: one recipe in, a finished model's folder out.

A run's folder holds `checkpoint-*/`, `metrics.jsonl` (one JSON line per `log_every` steps),
`validation/*.png` and the finished model (`autoencoder/` or `pipeline/`). Step n depends on the
weights before it and on (seed, n) only, so a resumed run equals an uninterrupted one.
Tests: tests/training/test_trainer.py.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from fairy.config import TrainConfig
from fairy.errors import SettingsError
from fairy.training.checkpoint import find_checkpoint, load_checkpoint, read_state, save_checkpoint
from fairy.training.data import PairSource
from fairy.training.ema import Ema
from fairy.training.sheet import write_sheet
from fairy.training.stages import Stage, build_stage

logger = logging.getLogger(__name__)

# Settings that a resumed run may change without a word.
FREE_SETTINGS = {"resume", "max_minutes", "output", "images", "autoencoder", "device"}
EXPORT_FOLDERS = {"autoencoder": "autoencoder", "editor": "pipeline"}

Progress = Callable[[int, dict[str, float]], None]


def train(config: TrainConfig, progress: Progress | None = None) -> Path:
    """Train a stage; at the end, or when the time is up, write the averaged model.

    Args:
        config: the recipe.
        progress: called after every step with the step's number and the newest metrics.

    Returns:
        The finished model's folder.

    Raises:
        SettingsError: `output` holds a run and `resume` was not asked for, or the other way
            round, or the loss is no longer a number.
    """
    return Trainer(config).run(progress)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the rate of a step (1 is the first): linear rise, constant, linear fall to zero."""
    rise = step / max(config.warmup_steps, 1)
    fall = (config.max_steps - step + 1) / max(config.decay_steps, 1)
    return config.learning_rate * max(0.0, min(1.0, rise, fall))


class Trainer:
    """One run: its stage, optimizer and averaged weights."""

    def __init__(self, config: TrainConfig) -> None:
        """Build everything; load the newest checkpoint when the run is resumed."""
        self.config = config
        self.started_s = time.monotonic()
        checkpoint = _checkpoint_to_resume(config)
        self.accelerator = _accelerator(config)
        device, rank = self.accelerator.device, self.accelerator.process_index
        torch.manual_seed(config.seed)
        self.stage: Stage = build_stage(config, PairSource(config, device, rank=rank))
        self.ema = Ema(self.stage.model, config.ema_decay)
        optimizer = torch.optim.AdamW(
            self.stage.model.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            # One pass over each weight instead of one per operation.
            fused=True,
        )
        self.step = 0
        if checkpoint is not None:
            self.step = load_checkpoint(checkpoint, self.stage.model, self.ema, optimizer)
            _log_changes(checkpoint, config)
        self.model, self.optimizer = self.accelerator.prepare(self.stage.model, optimizer)
        self.log = MetricsLog(config.output / "metrics.jsonl", self.step)

    def run(self, progress: Progress | None = None) -> Path:
        """Train to `max_steps` or until the time is up, then export."""
        config = self.config
        while self.step < config.max_steps and not self._time_is_up():
            self.step += 1
            self.log.add(self._train_step())
            if self.step % config.log_every == 0:
                self._write_metrics()
            if self.step % config.validate_every == 0:
                self._validate()
            if self.step % config.checkpoint_every == 0:
                self._save()
            if progress is not None:
                progress(self.step, self.log.newest)
        return self._finish()

    def _train_step(self) -> dict[str, Tensor]:
        rate = learning_rate(self.config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        metrics = self.stage.loss(self.model, self.step)
        self.accelerator.backward(metrics["loss"])
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update(self.step)
        return {name: value.detach() for name, value in metrics.items()}

    def _write_metrics(self) -> None:
        rate = learning_rate(self.config, self.step)
        means = self.log.means()
        if not all(torch.isfinite(torch.tensor(list(means.values())))):
            raise SettingsError(
                f"the loss is not a number any more at step {self.step}: lower learning_rate "
                f"(now {self.config.learning_rate:g}) and resume from the last checkpoint"
            )
        if self.accelerator.is_main_process:
            self.log.write(self.step, {**means, "learning_rate": rate})

    def _validate(self) -> None:
        """Write the sheet and the metrics of the averaged weights."""
        if not self.accelerator.is_main_process:
            return
        with self.ema.weights_in():
            columns, labels, metrics = self.stage.validate()
        sheet = self.config.output / "validation" / f"{self.step:06d}.png"
        write_sheet(sheet, columns, labels)
        self.log.write(self.step, {f"validation_{name}": v for name, v in metrics.items()})
        logger.info("step %d: validation %s, sheet %s", self.step, metrics, sheet)

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            model, optimizer = self.stage.model, self.optimizer.optimizer
            save_checkpoint(self.config, self.step, model, self.ema, optimizer)
        self.accelerator.wait_for_everyone()

    def _finish(self) -> Path:
        """Checkpoint and export; say how to go on if there is more to do."""
        self._save()
        folder = self.config.output / EXPORT_FOLDERS[self.config.stage]
        if self.accelerator.is_main_process:
            with self.ema.weights_in():
                self.stage.export(folder)
        if self.step < self.config.max_steps:
            logger.warning(
                "time is up (%g minutes) after step %d of %d; go on with --resume",
                self.config.max_minutes,
                self.step,
                self.config.max_steps,
            )
        logger.info("wrote %s", folder)
        return folder

    def _time_is_up(self) -> bool:
        """Whether the budget is spent; the first process decides for all."""
        if self.config.max_minutes is None:
            return False
        spent_s = torch.tensor(time.monotonic() - self.started_s, device=self.accelerator.device)
        spent_s = self.accelerator.reduce(spent_s, reduction="mean")
        return bool(spent_s >= 60 * self.config.max_minutes)


class MetricsLog:
    """Means of the steps' metrics since the last line, and the lines in `metrics.jsonl`."""

    def __init__(self, path: Path, step: int) -> None:
        """Open the log of a run that stands at `step`; later lines are of steps now redone."""
        self.path = path
        self.newest: dict[str, float] = {}
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self._since_s = time.monotonic()
        lines = path.read_text().splitlines() if path.exists() else []
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in lines if json.loads(line)["step"] <= step))

    def add(self, metrics: dict[str, Tensor]) -> None:
        """Add one step's scalars; nothing is read back from the device yet."""
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

    def means(self) -> dict[str, float]:
        """Return the means since the last call, with the seconds of a step, and begin anew."""
        means = {name: float(value) / self._count for name, value in self._sums.items()}
        now_s = time.monotonic()
        means["seconds_per_step"] = (now_s - self._since_s) / max(self._count, 1)
        self._sums, self._count, self._since_s = {}, 0, now_s
        return means

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Append one JSON line."""
        self.newest = {**self.newest, **metrics}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")


def _accelerator(config: TrainConfig) -> Accelerator:
    """Choose device and precision: bf16 on CUDA, float32 elsewhere; logged once."""
    on_cuda = torch.cuda.is_available() and config.device != "cpu"
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise SettingsError(f"device {config.device}: torch finds no CUDA device; use cpu or auto")
    if config.device.startswith("cuda:"):
        torch.cuda.set_device(config.device)
    precision = "bf16" if on_cuda else "no"
    accelerator = Accelerator(mixed_precision=precision, cpu=not on_cuda)
    name = "bf16 mixed precision" if on_cuda else "float32"
    logger.info("training on %s in %s", accelerator.device, name)
    return accelerator


def _checkpoint_to_resume(config: TrainConfig) -> Path | None:
    """Return the checkpoint to go on from; None for a new run."""
    checkpoint = find_checkpoint(config.output)
    if config.resume and checkpoint is None:
        raise SettingsError(f"{config.output}: no checkpoint to resume; leave --resume out")
    if checkpoint is not None and not config.resume:
        raise SettingsError(
            f"{config.output}: holds a run already; add --resume to go on, or name a new folder"
        )
    return checkpoint


def _log_changes(checkpoint: Path, config: TrainConfig) -> None:
    """Say which settings are not those that the checkpoint was made with."""
    before = read_state(checkpoint)["config"]
    now = json.loads(json.dumps(vars(config), default=str))
    for name in sorted(set(now) - FREE_SETTINGS):
        if now[name] != before.get(name):
            logger.warning("resumed with %s = %s, was %s", name, now[name], before.get(name))
