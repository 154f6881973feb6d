"""Training data by step number: nothing is stored, everything is drawn from (seed, step).

Images leave here as float (B,3,H,W) in [-1,1], as the models take them; scenes, photographs and
edits work in [0,1]. Tests: tests/training/test_data.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fairy.config import TrainConfig
from fairy.training import edits, photos, scenes
from fairy.training.seeding import generator


@dataclass(frozen=True)
class PairBatch:
    """Edits to learn: `source` and `target` (B,3,H,W) in [-1,1], B `instructions`, B `names`."""

    source: Tensor
    target: Tensor
    instructions: list[str]
    names: list[str]


class PairSource:
    """Images and (source, instruction, target) triples for any step, moved to the device."""

    def __init__(self, config: TrainConfig, device: torch.device, *, rank: int = 0) -> None:
        """Open the photographs, if the run has any; `rank` keeps processes' draws apart."""
        self.seed = config.seed
        self.device = device
        self.rank = rank
        self.photos = None if config.images is None else photos.PhotoPool(config.images)
        self.sampler = scenes.SceneSampler(self.photos)

    def images(
        self, step: int, batch_size: int, size: tuple[int, int], *, split: edits.Split = "train"
    ) -> Tensor:
        """Return (B,3,H,W) in [-1,1] for the autoencoder.

        Half are photographs (where there are any) and scenes, half are targets of edits, so
        that the latents also hold what only edits look like: thin pencil lines, flat posters.
        """
        gen = self._generator(step, f"images-{split}")
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
        return _to_model(torch.cat([part.to(self.device) for part in parts]))

    def pairs(
        self, step: int, batch_size: int, size: tuple[int, int], *, split: edits.Split = "train"
    ) -> PairBatch:
        """Return a batch of edits; `split="test"` draws the phrasings kept from training."""
        gen = self._generator(step, f"pairs-{split}")
        pairs = edits.sample_pairs(self.sampler, batch_size, size, gen, split=split)
        source, target = pairs.source.to(self.device), pairs.target.to(self.device)
        return PairBatch(_to_model(source), _to_model(target), pairs.instructions, pairs.names)

    def _generator(self, step: int, purpose: str) -> torch.Generator:
        return generator(self.seed, step, purpose, rank=self.rank)


def draw_size(config: TrainConfig, step: int) -> tuple[int, int]:
    """Draw the step's (height, width) from the recipe's `sizes`, the same on every process."""
    gen = generator(config.seed, step, "size")
    return config.sizes[int(torch.randint(len(config.sizes), (), generator=gen))]


def _to_model(images: Tensor) -> Tensor:
    """Map [0,1] to [-1,1]."""
    return images.clamp(0, 1) * 2 - 1
