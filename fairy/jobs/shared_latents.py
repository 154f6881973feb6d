"""A clip that several instructions share; it is decoded and encoded into latents once.

The latents (C,h,w) of all frames are in a temporary file, so memory does not grow with the clip.
So are the pictures, if an output needs them and they are not too many.
Tests: tests/jobs/test_shared_latents.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from fairy.control.changes import Box
from fairy.editors.base import Editor
from fairy.editors.images import read_at_size
from fairy.media.colours import Image
from fairy.media.info import Frame

# Frames encoded together
BATCH_FRAMES = 8
_NO_IMAGE: Image = np.zeros((0, 0, 3), np.uint8)


class SharedClip:
    """The times and latents of all frames; a context manager that deletes its files on exit.

    Args:
        frames: all frames of the clip, in order.
        editor: its autoencoder makes the latents.
        size: (height, width) at which the model works.
        crop: the part of a frame that the model sees; None for all of it.
        keep_pictures: keep the frames' pictures as well, uncompressed.

    Attributes:
        has_pictures: whether `frames` yields pictures.
    """

    def __init__(
        self,
        frames: Iterable[Frame],
        editor: Editor,
        size: tuple[int, int],
        *,
        crop: Box | None = None,
        keep_pictures: bool = False,
    ) -> None:
        self._frames, self._editor, self.size, self._crop = frames, editor, size, crop
        self.has_pictures = keep_pictures
        self._picture_shape: tuple[int, ...] = ()
        self._pictures = tempfile.TemporaryFile(prefix="fairy-pictures-")  # noqa: SIM115
        # `__exit__` closes it, which deletes it
        self._file = tempfile.TemporaryFile(prefix="fairy-latents-")  # noqa: SIM115
        self._times: list[Frame] = []
        self._shape: tuple[int, ...] = ()

    def __enter__(self) -> SharedClip:
        """Decode and encode the clip."""
        frames = iter(self._frames)
        while batch := list(islice(frames, BATCH_FRAMES)):
            self._add(batch)
        self._file.flush()
        self._pictures.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Delete latents and pictures."""
        self._file.close()
        self._pictures.close()

    def frames(self, start: int, stop: int) -> Iterator[Frame]:
        """Yield frames `start` to `stop` - 1, without their pictures unless they are kept."""
        for index, frame in enumerate(self._times[start:stop], start):
            yield replace(frame, image=self._picture(index)) if self.has_pictures else frame

    def _picture(self, index: int) -> Image:
        count = int(np.prod(self._picture_shape))
        self._pictures.seek(count * index)
        picture = np.frombuffer(self._pictures.read(count), np.uint8)
        return picture.reshape(self._picture_shape).copy()

    def latents(self, index: int) -> Tensor:
        """Return the latents (C,h,w), float32, of a frame."""
        count = int(np.prod(self._shape))
        self._file.seek(4 * count * index)
        values = np.frombuffer(self._file.read(4 * count), np.float32)
        return torch.from_numpy(values.reshape(self._shape).copy())

    def _add(self, batch: list[Frame]) -> None:
        if self.has_pictures:
            self._picture_shape = batch[0].image.shape
            for frame in batch:
                self._pictures.write(frame.image.tobytes())
        part = ... if self._crop is None else self._crop.slices
        images = torch.stack(list(read_at_size((one.image[part] for one in batch), self.size)))
        latents = self._editor.encode(images)
        self._shape = tuple(latents.shape[1:])
        self._file.write(latents.numpy().tobytes())
        self._times += [
            Frame(
                image=_NO_IMAGE,
                pts=frame.pts,
                time_base=frame.time_base,
                duration=frame.duration,
            )
            for frame in batch
        ]
