"""The training loop: train one recipe and write the finished model to a folder.

A run's folder has `checkpoint-*/`, `metrics.jsonl` (a JSON line per `log_every` steps),
`tensorboard/`, `curves.png`, `validation/*.png` and the finished model (`autoencoder/` or
`pipeline/`). Step n depends only on the weights before it and on (seed, n), so a resumed run equals
an uninterrupted one, and two processes that exchange gradients equal one that accumulates them.
Tests: tests/training/run/test_trainer.py.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from fairy.errors import JobInterrupted, SettingsError
from fairy.interrupt import Cancel
from fairy.training.config import TrainConfig
from fairy.training.model.card import model_card
from fairy.training.model.ema import Ema
from fairy.training.run.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    save_process,
)
from fairy.training.run.contact_sheet import save_examples, write_sheet
from fairy.training.run.log import MetricsLog
from fairy.training.run.loss_guard import LossGuard
from fairy.training.run.precision import MasterWeights, choose_precision
from fairy.training.run.setup import (
    EXPORT_FOLDERS,
    checkpoint_to_resume,
    log_changes,
    make_accelerator,
    split_batch,
)
from fairy.training.stages import Stage, build_stage

logger = logging.getLogger(__name__)


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
        SettingsError: `output` has a run and `resume` is off, or the other way round; or the loss
            exploded or became NaN.
        JobInterrupted: SIGTERM or Ctrl-C stopped the run; a checkpoint was written.
    """
    trainer = Trainer(config)
    try:
        return trainer.run(progress)
    finally:
        trainer.stage.close()


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return a step's learning rate (step 1 is the first): linear rise, constant, linear fall."""
    rise = step / max(config.warmup_steps, 1)
    fall = (config.max_steps - step + 1) / max(config.decay_steps, 1)
    return config.learning_rate * max(0.0, min(1.0, rise, fall))


class Trainer:
    """One run: its stage, optimizer and averaged weights."""

    def __init__(self, config: TrainConfig) -> None:
        """Build all parts; load the newest checkpoint if the run is resumed."""
        self.config = config
        self.started_s = time.monotonic()
        checkpoint = checkpoint_to_resume(config)
        self.accelerator = make_accelerator(config)
        self.parts = split_batch(config, self.accelerator)
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
            log_changes(checkpoint, config)
        # Processes that average their weights exchange no gradients, so they need no wrapper.
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
        """Train until `max_steps`, a signal, or the end of the time budget; then export."""
        cancel = Cancel()
        with cancel.on_signals(), cancel.held():
            while self.step < self.config.max_steps and not self._must_stop(cancel):
                self.step += 1
                self.log.add(self._train_step())
                self._write_due_outputs()
                if progress is not None:
                    progress(self.step, self.log.newest)
        if cancel.signal_number is not None and self.step < self.config.max_steps:
            self._save()
            self.log.close()
            raise JobInterrupted(
                cancel.signal_number,
                f"stopped by {signal.Signals(cancel.signal_number).name} after step {self.step} of "
                f"{self.config.max_steps}; {self.config.output} has a checkpoint; continue with "
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
        """This process's number if it has its own weights and optimizer; 0 if all share them."""
        return self.accelerator.process_index if self.averages else 0

    @torch.no_grad()
    def _average(self) -> None:
        """Set the weights of all processes to their mean, in one exchange of one vector."""
        flat = torch.cat([weight.flatten() for weight in self.weights])
        mean = self.accelerator.reduce(flat, reduction="mean")
        parts = mean.split([weight.numel() for weight in self.weights])
        for weight, part in zip(self.weights, parts, strict=True):
            weight.copy_(part.view_as(weight))

    def _accumulate(self) -> dict[str, Tensor]:
        """Sum the gradients of this process's parts, and return their mean metrics."""
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
        """Stop the run on all processes if the loss exploded; save the step's pictures."""
        mean = float(self.accelerator.reduce(loss, reduction="mean"))
        complaint = self.guard.complaint(mean)
        if complaint is None:
            return
        folder = self.config.output / f"failed-step-{self.step:06d}"
        for part in self.parts.own:
            save_examples(folder, f"part-{part}", *self.stage.examples(self.step, part))
        raise SettingsError(
            f"step {self.step}: {complaint}; the weights are those before this step. Its pictures "
            f"are in {folder}: check whether one looks wrong. Otherwise lower learning_rate "
            f"(now {self.config.learning_rate:g}) or raise warmup_steps, and continue with --resume"
        )

    def _write_due_outputs(self) -> None:
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
        """Whether any process ran out of time or got a signal; all stop after the same step."""
        budget = self.config.max_minutes
        late = budget is not None and time.monotonic() - self.started_s >= 60 * budget
        if self.accelerator.num_processes > 1:
            vote = [[float(late), float(cancel.signal_number or 0)]]
            votes = self.accelerator.gather(torch.tensor(vote, device=self.accelerator.device))
            late, number = votes.amax(0).tolist()
            if number:
                cancel.set(int(number))
        return bool(late) or cancel.is_set
