"""An editor without a model: it inverts every picture. For tests of what happens around an edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fairy.editors.base import Anchor, EditInput, EditorIdentity, EditSession, UsedSettings
from fairy.editors.batches import EditMemory
from fairy.media.colours import Image
from fairy.media.frames import resize, to_images
from fairy.models.defaults import ModelDefaults
from fairy.settings import EXACT, EditConfig


class StandInEditor:
    """An `Editor` whose edits cost nothing and can be known beforehand."""

    defaults, grid = ModelDefaults(size=16, num_inference_steps=1), 8

    def begin(
        self,
        prompt: str,
        anchors: Sequence[Anchor],
        settings: EditConfig,
        *,
        size: tuple[int, int],
        anchor_store: Path | None = None,
    ) -> EditSession:
        return _Session({anchor.index: anchor for anchor in anchors}, size)

    def encode(self, images: Tensor) -> Tensor:
        return images

    def identity(self) -> EditorIdentity:
        return EditorIdentity(weights="stand-in", device="cpu", dtype="float32")

    def memory(
        self, settings: EditConfig, *, size: tuple[int, int], num_anchors: int
    ) -> EditMemory:
        return EditMemory(cache=1, held=1, anchors=1, frame=1)


class _Session(EditSession):
    batch_size = 2
    timing: dict[str, float] = {}  # noqa: RUF012

    def __init__(self, anchors: dict[int, Anchor], size: tuple[int, int]) -> None:
        self._anchors, self._size = anchors, size

    def edit(self, inputs: Sequence[EditInput]) -> Image:
        return np.stack([self._edited(one) for one in inputs])

    def _edited(self, frame: EditInput) -> Image:
        anchor = self._anchors.get(frame.index)
        if anchor is not None and anchor.edited is not None:
            return self._image(anchor.edited)
        return 255 - self._image(frame.source)

    def _image(self, picture: object) -> Image:
        if isinstance(picture, Tensor):
            picture = to_images(picture[None])[0]
        return resize(np.asarray(picture), self._size)

    @property
    def used(self) -> UsedSettings:
        return UsedSettings(
            num_inference_steps=1, guidance_scale=1.0, image_guidance_scale=1.0, num_groups=1,
            anchor_indices=tuple(self._anchors), frame_batch_size=self.batch_size,
            height=self._size[0], width=self._size[1], device="cpu", dtype=str(torch.float32),
            scheduler="none", backend="none", backend_reason="no attention",
            anchor_cache_device="cpu", anchor_cache_bytes=0, quality="exact", shortcuts=EXACT,
        )  # fmt: skip

    def close(self) -> None:
        """There is nothing to free."""
