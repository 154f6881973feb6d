"""Pools of rendered pairs: worker processes render ahead, and training uses each pool repeatedly.

Rendering a pair takes about as long as a training step on it; using a pool three times cuts that
cost to a third. Pool k of a part and the order of each use depend only on (seed, k, part), so a
resumed run gets the same data as an uninterrupted one. Memory holds at most the current pool and
one per worker, as uint8 (B,3,H,W). Workers end with the process that started them.
Tests: tests/training/data/test_pools.py.
"""

from __future__ import annotations

import multiprocessing
import signal
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fairy.errors import FairyError
from fairy.synthetic.edits import Split, sample_pairs
from fairy.synthetic.photos import PhotoPool
from fairy.system import end_with_parent
from fairy.training.config import TrainConfig
from fairy.training.data.pairs import (
    MixedSampler,
    PairBatch,
    Parts,
    ScenePairs,
    loaded_size,
    to_model_range,
)
from fairy.training.run.seeding import generator

# Pairs rendered at once; small, so they need little memory compared with the pool.
CHUNK = 32
# Consecutive pairs that share an edit; they are shuffled afterwards.
ROWS_PER_EDIT = 2
# A pool takes a minute or two to render; a killed worker never answers.
TIMEOUT_S = 3600


@dataclass(frozen=True)
class PoolJob:
    """One pool to render."""

    seed: int
    index: int
    part: int
    num_pairs: int
    size: tuple[int, int]
    scope_weights: tuple[float, float, float]


@dataclass(frozen=True)
class RenderedPool:
    """Source and target (B,3,H,W) uint8, objects (B,H,W) bool, instructions, names of the edits."""

    source: np.ndarray
    target: np.ndarray
    objects: np.ndarray
    instructions: list[str]
    names: list[str]


def render_pool(job: PoolJob, sampler: MixedSampler) -> RenderedPool:
    """Render a pool's pairs; equal jobs and samplers give equal pairs."""
    gen = generator(job.seed, job.index, "pool", part=job.part)
    sources: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    objects: list[np.ndarray] = []
    instructions: list[str] = []
    names: list[str] = []
    while len(names) < job.num_pairs:
        pairs = sample_pairs(
            sampler,
            min(CHUNK, job.num_pairs - len(names)),
            job.size,
            gen,
            scope_weights=job.scope_weights,
            rows_per_edit=ROWS_PER_EDIT,
        )
        sources.append(_to_bytes(pairs.source))
        targets.append(_to_bytes(pairs.target))
        objects.append(pairs.objects.numpy())
        instructions += pairs.instructions
        names += pairs.names
    images = np.concatenate(sources), np.concatenate(targets), np.concatenate(objects)
    return RenderedPool(*images, instructions, names)


class PooledPairs:
    """Pairs of rendered scenes by step number, from pools."""

    def __init__(self, config: TrainConfig, device: torch.device, parts: Parts) -> None:
        self.config, self.device, self.parts = config, device, parts
        # For validation, which needs only a few pairs, always the same.
        self.scenes = ScenePairs(config, device)
        self._workers: Pool | None = None
        self._pending: dict[PoolJob, AsyncResult[RenderedPool]] = {}
        self._current: dict[int, tuple[PoolJob, RenderedPool]] = {}

    def pairs(
        self,
        step: int,
        batch_size: int,
        size: tuple[int, int],
        *,
        part: int = 0,
        split: Split = "train",
    ) -> PairBatch:
        """Return a part's pairs; `split="test"` draws held-out phrasings."""
        if split == "test":
            return self.scenes.pairs(step, batch_size, size, part=part, split=split)
        config = self.config
        index = config.pool_of(step)
        pool = self._pool(index, part, batch_size, size)
        within = step - 1 - index * config.pool_batches * config.pool_uses
        use, batch = divmod(within, config.pool_batches)
        gen = generator(config.seed, index, f"use-{use}", part=part)
        order = torch.randperm(len(pool.names), generator=gen)
        rows = order[batch * batch_size : (batch + 1) * batch_size].numpy()
        return PairBatch(
            self._images(pool.source[rows]),
            self._images(pool.target[rows]),
            [pool.instructions[row] for row in rows],
            [pool.names[row] for row in rows],
            torch.from_numpy(pool.objects[rows]).to(self.device),
        )

    def close(self) -> None:
        """Stop the workers."""
        if self._workers is not None:
            self._workers.terminate()
            self._workers.join()
        self._workers, self._pending = None, {}

    def _pool(self, index: int, part: int, batch_size: int, size: tuple[int, int]) -> RenderedPool:
        job = self._job(index, part, batch_size, size)
        if part not in self._current or self._current[part][0] != job:
            self._current.pop(part, None)
            result = self._submit(job)
            try:
                pool = result.get(TIMEOUT_S)
            except multiprocessing.TimeoutError as error:
                raise FairyError(
                    f"pool {index} was not rendered within {TIMEOUT_S} s: a worker was killed; "
                    "continue with --resume, with smaller pool_batches if memory ran out"
                ) from error
            self._current[part] = job, pool
            self._pending = {j: r for j, r in self._pending.items() if j.index > index}
            self._render_ahead(index, part, batch_size)
        return self._current[part][1]

    def _render_ahead(self, index: int, part: int, batch_size: int) -> None:
        """Submit one more pool per worker, if there are steps left that need it."""
        config = self.config
        for following in range(index + 1, index + 1 + config.pool_workers):
            step = following * config.pool_batches * config.pool_uses + 1
            if step <= config.max_steps:
                self._submit(self._job(following, part, batch_size, loaded_size(config, step)))

    def _submit(self, job: PoolJob) -> AsyncResult[RenderedPool]:
        if self._workers is None:
            config = self.config
            self._workers = multiprocessing.get_context("spawn").Pool(
                config.pool_workers,
                _start_worker,
                (config.images, config.photo_share, config.clear_share),
            )
        if job not in self._pending:
            self._pending[job] = self._workers.apply_async(_work, (job,))
        return self._pending[job]

    def _job(self, index: int, part: int, batch_size: int, size: tuple[int, int]) -> PoolJob:
        config = self.config
        num_pairs = config.pool_batches * batch_size
        return PoolJob(config.seed, index, part, num_pairs, size, config.scope_weights)

    def _images(self, pixels: np.ndarray) -> Tensor:
        return to_model_range(torch.from_numpy(pixels).to(self.device).float() / 255)


# A worker's scenes; its photographs are read once.
_sampler: list[MixedSampler] = []


def _start_worker(images: Path | None, photo_share: float, clear_share: float) -> None:
    """Set up a worker: use one thread, and ignore Ctrl-C, which the trainer handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    end_with_parent()
    photos = None if images is None else PhotoPool(images)
    _sampler[:] = [MixedSampler(photos, photo_share, clear_share)]


def _work(job: PoolJob) -> RenderedPool:
    return render_pool(job, _sampler[0])


def _to_bytes(images: Tensor) -> np.ndarray:
    pixels: np.ndarray = (images.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return pixels
