"""The training loop: one recipe in, a finished model's folder out.

A run's folder holds `checkpoint-*/`, `metrics.jsonl` (a JSON line per `log_every` steps),
`tensorboard/`, `curves.png`, `validation/*.png` and the finished model (`autoencoder/` or
`pipeline/`). Step n depends on the weights before it and on (seed, n) only, so a resumed run
equals an uninterrupted one, and two processes that exchange gradients equal one that accumulates.
Tests: tests/training/run/test_trainer.py.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from fairy.errors import JobInterrupted, SettingsError
from fairy.interrupt import Cancel
from fairy.training.config import TrainConfig
from fairy.training.data.pairs import Parts
from fairy.training.model.card import model_card
from fairy.training.model.ema import Ema
from fairy.training.run.checkpoint import (
    find_checkpoint,
    load_checkpoint,
    read_state,
    save_checkpoint,
    save_process,
)
from fairy.training.run.contact_sheet import save_examples, write_sheet
from fairy.training.run.log import MetricsLog
from fairy.training.run.loss_guard import LossGuard
from fairy.training.run.precision import MasterWeights, choose_precision
from fairy.training.stages import Stage, build_stage

logger = logging.getLogger(__name__)

# Settings that a resumed run may change without a warning.
FREE_SETTINGS = {"resume", "max_minutes", "output", "images", "autoencoder", "start", "device"}
FREE_SETTINGS |= {"pool_workers"}
EXPORT_FOLDERS = {"autoencoder": "autoencoder", "editor": "pipeline", "finetune": "pipeline"}

OnStep = Callable[[int, dict[str, float]], None]
"""Called with (step, its metrics by name)."""


def train(config: TrainConfig, progress: OnStep | None = None) -> Path:
    """Train a stage; at the end, or when the time is up, write the averaged model.

    Args:
        config: the recipe.
        progress: called after every step with the step's number and the newest metrics.

    Returns:
        The finished model's folder.

    Raises:
        SettingsError: `output` holds a run and `resume` was not asked for, or the other way
            round, or the loss exploded or is no longer a number.
        JobInterrupted: SIGTERM or Ctrl-C came; a checkpoint was written.
    """
    trainer = Trainer(config)
    try:
        return trainer.run(progress)
    finally:
        trainer.stage.close()


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
        self.parts = _parts(config, self.accelerator)
        torch.manual_seed(config.seed)
        self.stage: Stage = build_stage(config, self.accelerator.device, self.parts)
        precision = choose_precision(config, on_cuda=self.accelerator.device.type == "cuda")
        logger.info("training on %s in %s", self.accelerator.device, precision)
        self.masters = MasterWeights(self.stage.model, precision)
        self.ema = Ema(self.masters.weights, config.ema_decay)
        self.weights = list(self.masters.weights.values())
        self.averages = config.average_every > 0 and self.accelerator.num_processes > 1
        # Fused: one pass over each weight instead of one per operation.
        optimizer = torch.optim.AdamW(
            self.weights,
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.step = 0
        if checkpoint is not None:
            with self.masters.in_model():
                self.step = load_checkpoint(
                    checkpoint, self.stage.model, self.ema, optimizer, self._own_process
                )
            _log_changes(checkpoint, config)
        # Processes that average their weights exchange no gradients: no wrapper for that.
        self.model = self.accelerator.prepare_model(self.stage.model, evaluation_mode=self.averages)
        self.optimizer = self.accelerator.prepare(optimizer)
        self.guard = LossGuard(config.max_loss_rise)
        self.images_per_step = config.batch_size * self.parts.count
        self.log = MetricsLog(
            config.output,
            self.step,
            self.images_per_step,
            active=self.accelerator.is_main_process,
        )

    def run(self, progress: OnStep | None = None) -> Path:
        """Train to `max_steps`, until the time is up or a signal comes; then export."""
        cancel = Cancel()
        with cancel.on_signals(), cancel.held():
            while self.step < self.config.max_steps and not self._must_stop(cancel):
                self.step += 1
                self.log.add(self._train_step())
                self._write_what_is_due()
                if progress is not None:
                    progress(self.step, self.log.newest)
        if cancel.signal_number is not None and self.step < self.config.max_steps:
            self._save()
            self.log.close()
            raise JobInterrupted(
                cancel.signal_number,
                f"stopped by {signal.Signals(cancel.signal_number).name} after step {self.step} of "
                f"{self.config.max_steps}; {self.config.output} holds a checkpoint; continue with "
                "--resume",
            )
        return self._finish()

    def _train_step(self) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.step)
        metrics = self._accumulate()
        self._check(metrics["loss"])
        self.masters.take_gradients()
        norm = self.accelerator.clip_grad_norm_(self.weights, self.config.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.averages and self.step % self.config.average_every == 0:
            self._average()
        self.masters.publish()
        self.ema.update(self.step)
        return {**metrics, "gradient_norm": norm.detach()}

    @property
    def _own_process(self) -> int:
        """Number of the process whose weights and optimizer this one has; 0: the same on all."""
        return self.accelerator.process_index if self.averages else 0

    @torch.no_grad()
    def _average(self) -> None:
        """Set the weights of all processes to their mean: one exchange of one vector."""
        flat = torch.cat([weight.flatten() for weight in self.weights])
        mean = self.accelerator.reduce(flat, reduction="mean")
        parts = mean.split([weight.numel() for weight in self.weights])
        for weight, part in zip(self.weights, parts, strict=True):
            weight.copy_(part.view_as(weight))

    def _accumulate(self) -> dict[str, Tensor]:
        """Sum the gradients of this process's parts, and the means of their metrics."""
        totals: dict[str, Tensor] = {}
        share, last = 1 / self.parts.num_passes, self.parts.own[-1]
        for part in self.parts.own:
            # Processes exchange gradients once a step, with the last part.
            with nullcontext() if part == last else self.accelerator.no_sync(self.model):
                metrics = self.stage.loss(self.model, self.step, part)
                self.accelerator.backward(metrics["loss"] * share)
            for name, value in metrics.items():
                totals[name] = totals.get(name, 0) + value.detach() * share
        return totals

    def _check(self, loss: Tensor) -> None:
        """Stop the run on all processes if the loss exploded; keep the pictures it was made of."""
        mean = float(self.accelerator.reduce(loss, reduction="mean"))
        complaint = self.guard.complaint(mean)
        if complaint is None:
            return
        folder = self.config.output / f"failed-step-{self.step:06d}"
        for part in self.parts.own:
            save_examples(folder, f"part-{part}", *self.stage.examples(self.step, part))
        raise SettingsError(
            f"step {self.step}: {complaint}; the weights were left as they were before it. Its "
            f"pictures are in {folder}: look whether one is odd. Otherwise lower learning_rate "
            f"(now {self.config.learning_rate:g}) or raise warmup_steps, and continue with --resume"
        )

    def _write_what_is_due(self) -> None:
        config = self.config
        if self.step % config.log_every == 0:
            rate = learning_rate(config, self.step)
            self.log.write(self.step, {**self.log.means(), "learning_rate": rate})
        if self.step % config.validate_every == 0:
            self._validate()
        if self.step % config.checkpoint_every == 0:
            self._save()

    def _validate(self) -> None:
        """Write the sheet and the metrics of the averaged weights."""
        if not self.accelerator.is_main_process:
            return
        with self.masters.in_model(self.ema.state_dict()):
            columns, labels, metrics = self.stage.validate()
        sheet = self.config.output / "validation" / f"{self.step:06d}.png"
        write_sheet(sheet, columns, labels)
        self.log.write(self.step, {f"validation_{name}": v for name, v in metrics.items()})
        self.log.draw()
        logger.info("step %d: validation %s, sheet %s", self.step, metrics, sheet)

    def _save(self) -> None:
        model, optimizer = self.stage.model, self.optimizer.optimizer
        with self.masters.in_model():
            if self._own_process:
                save_process(self.config, self.step, self._own_process, model, optimizer)
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                save_checkpoint(self.config, self.step, model, self.ema, optimizer)
        self.accelerator.wait_for_everyone()

    def _finish(self) -> Path:
        """Checkpoint and export; log how to continue if steps are left."""
        self._save()
        folder = self.config.output / EXPORT_FOLDERS[self.config.stage]
        if self.accelerator.is_main_process:
            card = model_card(self.config, self.step, self.images_per_step, self.log.newest)
            with self.masters.in_model(self.ema.state_dict()):
                self.stage.export(folder, card)
        self.log.draw()
        self.log.close()
        if self.step < self.config.max_steps:
            logger.warning(
                "time is up (%g minutes) after step %d of %d; continue with --resume",
                self.config.max_minutes,
                self.step,
                self.config.max_steps,
            )
        logger.info("wrote %s", folder)
        return folder

    def _must_stop(self, cancel: Cancel) -> bool:
        """Whether the time is up or a signal came, on any process: all stop after one step."""
        budget = self.config.max_minutes
        late = budget is not None and time.monotonic() - self.started_s >= 60 * budget
        if self.accelerator.num_processes > 1:
            vote = [[float(late), float(cancel.signal_number or 0)]]
            votes = self.accelerator.gather(torch.tensor(vote, device=self.accelerator.device))
            late, number = votes.amax(0).tolist()
            if number:
                cancel.set(int(number))
        return bool(late) or cancel.is_set


def _accelerator(config: TrainConfig) -> Accelerator:
    """Choose the device, and mixed precision on CUDA."""
    on_cuda = torch.cuda.is_available() and config.device != "cpu"
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise SettingsError(f"device {config.device}: torch finds no CUDA device; use cpu or auto")
    if config.device.startswith("cuda:"):
        torch.cuda.set_device(config.device)
    mixed = choose_precision(config, on_cuda=on_cuda) == "bf16 mixed precision"
    return Accelerator(mixed_precision="bf16" if mixed else "no", cpu=not on_cuda)


def _parts(config: TrainConfig, accelerator: Accelerator) -> Parts:
    """Split the global batch over the processes and, where it is larger, over passes."""
    process, num_processes = accelerator.process_index, accelerator.num_processes
    at_once = config.batch_size * num_processes
    wanted = config.global_batch_size or at_once
    if wanted % at_once:
        raise SettingsError(
            f"global_batch_size is {wanted}: it must be a multiple of batch_size "
            f"{config.batch_size} times {num_processes} processes"
        )
    return Parts(process, num_processes, wanted // at_once)


def _checkpoint_to_resume(config: TrainConfig) -> Path | None:
    """Return the checkpoint to continue from; None for a new run."""
    checkpoint = find_checkpoint(config.output)
    if config.resume and checkpoint is None:
        raise SettingsError(f"{config.output}: no checkpoint to resume; leave --resume out")
    if checkpoint is not None and not config.resume:
        raise SettingsError(
            f"{config.output}: holds a run already; add --resume to continue, or name a new folder"
        )
    finished = config.output / EXPORT_FOLDERS[config.stage]
    if checkpoint is None and finished.exists():
        raise SettingsError(f"{finished}: already there, and would be replaced; name a new folder")
    return checkpoint


def _log_changes(checkpoint: Path, config: TrainConfig) -> None:
    """Log which settings differ from those that the checkpoint was made with."""
    before = read_state(checkpoint)["config"]
    now = json.loads(json.dumps(vars(config), default=str))
    # A setting that is younger than the checkpoint had its default.
    for name in sorted(set(now) & set(before) - FREE_SETTINGS):
        if now[name] != before[name]:
            logger.warning("resumed with %s = %s, was %s", name, now[name], before[name])
