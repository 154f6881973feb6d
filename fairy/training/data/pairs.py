"""Make any step's training data from (seed, step) alone.

A step's global batch has one part for each process and each pass of gradient accumulation. A part
is the same whichever process makes it, so two processes get the same data as one with two passes.
Results are float (B,3,H,W) in [-1,1], the models' range; scenes, photographs and edits use [0,1].
Tests: tests/training/data/test_pairs.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from fairy.synthetic import edits, photos, samplers, scenes
from fairy.training.config import TrainConfig
from fairy.training.run.seeding import generator


@dataclass(frozen=True)
class PairBatch:
    """Edits to learn: `source` and `target` (B,3,H,W) in [-1,1] and B `instructions`.

    `names` are the names of the edits (`edits.EDITS`); empty for pairs from other sources.
    `objects` (B,H,W) is True where the source shows an object; None where that is not known.
    """

    source: Tensor
    target: Tensor
    instructions: list[str]
    names: Sequence[str] = ()
    objects: Tensor | None = None


class PairSource(Protocol):
    """Where (source, instruction, target) triples come from."""

    device: torch.device

    def pairs(
        self,
        step: int,
        batch_size: int,
        size: tuple[int, int],
        *,
        part: int = 0,
        split: edits.Split = "train",
    ) -> PairBatch:
        """Return a part's pairs; `split="test"` gives pairs that no step trains on."""

    def close(self) -> None:
        """Stop worker processes and threads, if any."""


class MixedSampler(samplers.SceneSampler):
    """Draws clear scenes in a share of the calls, crowded ones in the others."""

    def __init__(
        self, photos: photos.PhotoPool | None, photo_share: float, clear_share: float
    ) -> None:
        super().__init__(photos, photo_share)
        self.clear = samplers.ClearSceneSampler(photos, photo_share)
        self.clear_share = clear_share

    def sample(
        self, num_objects: Tensor, size: tuple[int, int], generator: torch.Generator
    ) -> scenes.SceneBatch:
        """Return B scenes with `num_objects` (B,) objects each, all clear or all crowded."""
        if float(torch.rand((), generator=generator)) < self.clear_share:
            return self.clear.sample(num_objects, size, generator)
        return super().sample(num_objects, size, generator)


class ScenePairs:
    """Rendered scenes and their edits for any step, moved to the device."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        """Open the photographs, if the run has any."""
        self.seed = config.seed
        self.device = device
        self.photos = None if config.images is None else photos.PhotoPool(config.images)
        self.sampler = MixedSampler(self.photos, config.photo_share, config.clear_share)
        self.scope_weights = config.scope_weights

    def code_images(self, count: int, size: tuple[int, int]) -> Tensor:
        """Return images (count,3,H,W) in [-1,1] to fit the code to: photographs, else scenes."""
        gen = generator(self.seed, 0, "code")
        if self.photos is not None:
            return to_model_range(self.photos.crops(count, size, gen).to(self.device))
        num_objects = torch.randint(scenes.MAX_OBJECTS + 1, (count,), generator=gen)
        scene = self.sampler.sample(num_objects, size, gen)
        return to_model_range(scenes.render(scene).image.to(self.device))

    def images(
        self,
        step: int,
        batch_size: int,
        size: tuple[int, int],
        *,
        part: int = 0,
        split: edits.Split = "train",
    ) -> Tensor:
        """Return (B,3,H,W) in [-1,1] for the autoencoder.

        Half are photographs (if there are any) and scenes, half are targets of edits, so that the
        latents can also represent what only edits contain: thin pencil lines, flat posters.
        """
        gen = generator(self.seed, step, f"images-{split}", part=part)
        num_targets = batch_size // 2
        num_photos = 0 if self.photos is None else (batch_size - num_targets) // 2
        num_scenes = batch_size - num_targets - num_photos
        num_objects = torch.randint(scenes.MAX_OBJECTS + 1, (num_scenes,), generator=gen)
        batch = self.sampler.sample(num_objects, size, gen)
        parts = [scenes.render(batch).image]
        if num_targets:
            parts.append(edits.sample_pairs(self.sampler, num_targets, size, gen).target)
        if self.photos is not None and num_photos:
            parts.append(self.photos.crops(num_photos, size, gen))
        return to_model_range(torch.cat([images.to(self.device) for images in parts]))

    def pairs(
        self,
        step: int,
        batch_size: int,
        size: tuple[int, int],
        *,
        part: int = 0,
        split: edits.Split = "train",
    ) -> PairBatch:
        """Return a part's edits; `split="test"` draws held-out phrasings."""
        gen = generator(self.seed, step, f"pairs-{split}", part=part)
        pairs = edits.sample_pairs(
            self.sampler, batch_size, size, gen, split=split, scope_weights=self.scope_weights
        )
        source, target = pairs.source.to(self.device), pairs.target.to(self.device)
        return PairBatch(
            to_model_range(source),
            to_model_range(target),
            pairs.instructions,
            pairs.names,
            pairs.objects.to(self.device),
        )

    def close(self) -> None:
        """Do nothing: there are no workers."""


@dataclass(frozen=True)
class Parts:
    """How a step's global batch is split: part p belongs to process p % num_processes.

    Attributes:
        process: this process's number.
        num_processes: processes that train together.
        num_passes: forward passes of each process per step.
    """

    process: int = 0
    num_processes: int = 1
    num_passes: int = 1

    @property
    def count(self) -> int:
        """Parts of a step, on all processes together."""
        return self.num_processes * self.num_passes

    @property
    def own(self) -> range:
        """The parts that this process makes, in order."""
        return range(self.process, self.count, self.num_processes)


def draw_size(config: TrainConfig, step: int) -> tuple[int, int]:
    """Draw the (height, width) of a step, or of its pool, the same on every process."""
    gen = generator(config.seed, config.pool_of(step), "size")
    return config.sizes[int(torch.randint(len(config.sizes), (), generator=gen))]


def loaded_size(config: TrainConfig, step: int) -> tuple[int, int]:
    """Return the (height, width) at which a step's pictures are loaded, before the crop."""
    height, width = draw_size(config, step)
    return round(height * config.resize_scale), round(width * config.resize_scale)


def edited_after_motion(source: Tensor, target: Tensor, names: Sequence[str]) -> Tensor:
    """Return targets (B,3,H,W); recompute those of `SCREEN_LOOKS` from the moved sources.

    Args:
        source: (B,3,H,W) in [-1,1], moved.
        target: the same, moved with it.
        names: names of the B edits; empty for pairs from other sources.
    """
    target = target.clone()
    for row, name in enumerate(names):
        if name in edits.SCREEN_LOOKS:
            look = edits.SCREEN_LOOKS[name]
            target[row] = to_model_range(look((source[row : row + 1] + 1) / 2))[0]
    return target


def to_model_range(images: Tensor) -> Tensor:
    """Map [0,1] to [-1,1]."""
    return images.clamp(0, 1) * 2 - 1
