"""Load a data set's pairs by step number; read, decode and crop them ahead of their step.

Images (B,3,H,W) in [-1,1]. Tests: tests/training/data/test_dataset.py.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from fairy.errors import MediaError, SettingsError
from fairy.media.frames import to_model
from fairy.synthetic.edits import Split
from fairy.training.config import TrainConfig
from fairy.training.data.layouts import Example, Layout, open_layout
from fairy.training.data.pairs import PairBatch, Parts, loaded_size
from fairy.training.data.shuffle import ShuffledOrder
from fairy.training.run.seeding import generator

DECODING_THREADS = 8
Wanted = tuple[int, int, tuple[int, int], int]
"""step, batch_size, (height, width), part."""


class DatasetPairs:
    """Pairs of the data set `config.data`; the first `num_validation` are never trained on."""

    def __init__(self, config: TrainConfig, device: torch.device, parts: Parts) -> None:
        """Open the data set.

        Raises:
            SettingsError: there is no data set, or it is too small.
        """
        assert config.data is not None
        self.config, self.device, self.parts = config, device, parts
        layout = open_layout(config.data)
        try:
            self.order = ShuffledOrder(
                layout.block_sizes, config.shuffle_window, config.num_validation, config.seed
            )
        except ValueError as error:
            raise SettingsError(
                f"data {config.data}: too small ({error}); lower num_validation"
            ) from error
        self._blocks = _Blocks(layout, 2 * config.shuffle_window)
        self._decoders = ThreadPoolExecutor(DECODING_THREADS)
        self._reader = ThreadPoolExecutor(1)
        self._ahead: dict[Wanted, Future[PairBatch]] = {}

    def pairs(
        self,
        step: int,
        batch_size: int,
        size: tuple[int, int],
        *,
        part: int = 0,
        split: Split = "train",
    ) -> PairBatch:
        """Return a part's pairs; `split="test"` gives the first ones of the data set."""
        if split == "test":
            places = [self.order.place(example) for example in range(batch_size)]
            batch = self._reader.submit(self._load, places, size, None).result()
        else:
            batch = self._take((step, batch_size, size, part))
        source, target = batch.source.to(self.device), batch.target.to(self.device)
        return PairBatch(source, target, batch.instructions)

    def close(self) -> None:
        """Stop the threads that read and decode ahead."""
        for executor in (self._reader, self._decoders):
            executor.shutdown(wait=False, cancel_futures=True)

    def _take(self, wanted: Wanted) -> PairBatch:
        """Return a batch, which may already be loaded, and start loading the next one."""
        batch = self._ahead.pop(wanted, None) or self._reader.submit(self._make, wanted)
        following = self._following(wanted)
        self._ahead = {following: self._reader.submit(self._make, following)}
        return batch.result()

    def _following(self, wanted: Wanted) -> Wanted:
        """Return which batch this process will ask for next."""
        step, batch_size, size, part = wanted
        if part + self.parts.num_processes < self.parts.count:
            return step, batch_size, size, part + self.parts.num_processes
        return step + 1, batch_size, loaded_size(self.config, step + 1), self.parts.process

    def _make(self, wanted: Wanted) -> PairBatch:
        step, batch_size, size, part = wanted
        first = ((step - 1) * self.parts.count + part) * batch_size
        places = [self.order.at(first + row) for row in range(batch_size)]
        gen = generator(self.config.seed, step, "crops", part=part)
        return self._load(places, size, torch.rand(batch_size, generator=gen))

    def _load(
        self, places: Sequence[tuple[int, int]], size: tuple[int, int], offsets: Tensor | None
    ) -> PairBatch:
        """Read and decode examples; crop the longer side at `offsets` in [0,1], or the middle."""
        examples = [self._blocks.example(*place) for place in places]
        crops = [0.5] * len(places) if offsets is None else offsets.tolist()
        jobs = [
            (content, size, crop)
            for side in ("source", "target")
            for content, crop in zip((getattr(e, side) for e in examples), crops, strict=True)
        ]
        source, target = to_model(np.stack(list(self._decoders.map(_decode, jobs)))).chunk(2)
        return PairBatch(source, target, [example.instruction for example in examples])


class _Blocks:
    """A cache of the most recently used blocks, limited by their number of examples."""

    def __init__(self, layout: Layout, max_examples: int) -> None:
        self._layout, self._max_examples = layout, max_examples
        self._read: OrderedDict[int, list[Example]] = OrderedDict()

    def example(self, block: int, row: int) -> Example:
        if block not in self._read:
            self._read[block] = self._layout.read(block)
            while len(self._read) > 1 and self._num_examples > self._max_examples:
                self._read.popitem(last=False)
        self._read.move_to_end(block)
        return self._read[block][row]

    @property
    def _num_examples(self) -> int:
        return sum(map(len, self._read.values()))


def _decode(job: tuple[bytes, tuple[int, int], float]) -> np.ndarray:
    """Decode an image to uint8 (H,W,3): scaled to cover the size, then cropped."""
    content, (height, width), offset = job
    try:
        with PIL.Image.open(io.BytesIO(content)) as image:
            rgb = image.convert("RGB")
    except OSError as error:
        raise MediaError(f"an image of the data set cannot be decoded: {error}") from error
    scale = max(width / rgb.width, height / rgb.height)
    covering = max(width, round(rgb.width * scale)), max(height, round(rgb.height * scale))
    resized = rgb.resize(covering, PIL.Image.Resampling.LANCZOS)
    left = round((resized.width - width) * offset)
    top = round((resized.height - height) * offset)
    return np.asarray(resized.crop((left, top, left + width, top + height)))
