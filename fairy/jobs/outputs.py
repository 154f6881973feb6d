"""The clips that an edit writes: the result and, if asked for, source and result side by side.

Shapes: images uint8 (H,W,3). Tests: tests/jobs/test_edit.py.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from fairy.jobs.plan import EditPlan
from fairy.media.ahead import WriteBehind
from fairy.media.colours import Image
from fairy.media.frames import resize
from fairy.media.info import Frame
from fairy.media.sheet import side_by_side
from fairy.media.write import VideoWriter


class ClipOutputs:
    """Writes edited frames as a context manager; the files appear whole, or not at all.

    Args:
        plan: where to write.
        size: (height, width) of the result.
        comment: what the files shall say of how they were made; None for nothing.

    Attributes:
        num_written: frames handed to the encoders.
    """

    def __init__(self, plan: EditPlan, size: tuple[int, int], comment: str | None) -> None:
        self._plan, self._size, self._comment = plan, size, comment
        self._stack = ExitStack()
        self._encoder = WriteBehind(self._encode)
        self.num_written = 0
        self._result = self._writer(plan.out, size)
        self._compare: VideoWriter | None = None
        if plan.compare is not None:
            blank = np.zeros((plan.info.height, plan.info.width, 3), np.uint8)
            height, width, _ = self._pair(blank, resize(blank, size)).shape
            self._compare = self._writer(plan.compare, (height, width))

    def __enter__(self) -> ClipOutputs:
        """Open the files, hidden until they are whole."""
        with ExitStack() as stack:
            stack.enter_context(self._result)
            if self._compare is not None:
                stack.enter_context(self._compare)
            # Entered last, so that every frame is encoded before the files are published.
            stack.enter_context(self._encoder)
            self._stack = stack.pop_all()
        return self

    def write(self, frame: Frame, image: Image) -> None:
        """Write the edited `image` (H,W,3), of any size, at the time of its source `frame`.

        A thread encodes it; what goes wrong there is raised here, at a later frame or at the end.
        """
        self._encoder.put((frame, image))
        self.num_written += 1

    @property
    def busy_s(self) -> float:
        """Seconds that the thread has spent encoding."""
        return self._encoder.busy_s

    def _encode(self, pair: tuple[Frame, Image]) -> None:
        frame, image = pair[0], resize(pair[1], self._size)
        self._result.write(image, frame.pts, frame.time_base, frame.duration)
        if self._compare is not None:
            beside = self._pair(frame.image, image)
            self._compare.write(beside, frame.pts, frame.time_base, frame.duration)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Publish the files, or remove what was begun when the block was left by an exception."""
        self._stack.__exit__(kind, error, trace)

    def _pair(self, source: Image, edited: Image) -> Image:
        return side_by_side(source, edited, ("source", self._plan.instruction))

    def _writer(self, path: Path, size: tuple[int, int]) -> VideoWriter:
        return VideoWriter(
            path,
            info=self._plan.info,
            height=size[0],
            width=size[1],
            overwrite=self._plan.overwrite,
            media=self._plan.media,
            comment=self._comment,
        )
