"""Double the frame rate: after each frame, one half-way to the next, by FFmpeg's minterpolate.

The filter works on numbered pictures at a constant rate; the times are computed here, exactly, so
variable frame rates work too. The source's frames themselves do not pass through the filter's
output. Shapes: images uint8 (H,W,3). At most four frames are held.
Tests: tests/media/test_interpolate.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np

from fairy.errors import SettingsError
from fairy.media.colours import Image
from fairy.media.encoding.gif import GIF_MIN_STEP, GIF_TIME_BASE
from fairy.media.info import Frame, VideoInfo

# Between frames further apart than this many average steps nothing is known: a pause, a slide
PAUSE_STEPS = 4
# The filter matches blocks of 16x16 and searches 32 pixels around them
BLOCK_PX, LEAST_PX = 16, 64
_FILTER = "fps=2:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1:scd=none"
_HALF = Fraction(1, 2)


def doubled(info: VideoInfo) -> VideoInfo:
    """Return the info of the clip at twice the rate; its ticks are half as long."""
    return replace(
        info,
        num_frames=2 * info.num_frames,
        fps=2 * info.fps,
        time_base=info.time_base / 2,
        longest_step_s=info.longest_step_s / 2,
    )


def check_interpolates(info: VideoInfo, suffix: str) -> None:
    """Refuse what has no frames to interpolate between, or a GIF that would be too fast.

    Raises:
        SettingsError: in one line, what to do.
    """
    if info.num_frames < 2:
        raise SettingsError(f"--interpolate: {info.path} has one frame only: leave it out")
    most = 1 / (GIF_MIN_STEP * GIF_TIME_BASE)
    if suffix == ".gif" and 2 * info.fps > most:
        raise SettingsError(
            f"--interpolate: a .gif holds {most} frames/s, this would have "
            f"{float(2 * info.fps):g}: write an .mp4, or leave --interpolate out"
        )


@dataclass(frozen=True)
class TimedImage:
    """An image uint8 (H,W,3), shown at `pts * time_base` seconds for `duration` ticks."""

    image: Image
    pts: int
    time_base: Fraction
    duration: int


class FrameDoubler:
    """Turns T frames into 2 T: each frame, then the one half-way to the next.

    At a cut, in a pause and at the end there is nothing to move to: there the frame is repeated,
    so the rate stays even.

    Args:
        info: the clip that the frames are from.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._step = 1 / (info.fps * info.time_base)
        self._run: _Run | None = None
        self._shot: object = None
        # Of frames that wait for their successor's image
        self._waiting: deque[tuple[Frame, Image]] = deque()

    @property
    def num_held(self) -> int:
        """Number of images that wait for the next."""
        return len(self._waiting)

    def add(self, frame: Frame, image: Image, shot: object) -> Iterator[TimedImage]:
        """Take the next frame; yield the images that are ready.

        Args:
            frame: for its times.
            image: what is shown, (H,W,3) of the same size for all frames.
            shot: equal for frames with no cut between them.
        """
        if self._waiting:
            last = self._waiting[-1][0]
            is_pause = frame.pts - last.pts > PAUSE_STEPS * self._step
            if shot != self._shot or is_pause:
                yield from self._end_run(frame.pts - last.pts)
        self._shot = shot
        self._waiting.append((frame, image))
        if self._run is None:
            self._run = _Run(*image.shape[:2])
        yield from self._paired(self._run.push(image))

    def end(self) -> Iterator[TimedImage]:
        """Yield what remains after the last frame."""
        if self._waiting:
            yield from self._end_run(self._waiting[-1][0].duration or round(self._step))

    def _end_run(self, step: int) -> Iterator[TimedImage]:
        """Yield the rest of a run, whose last frame is shown for `step` ticks."""
        assert self._run is not None
        while len(self._waiting) > 1:
            # The filter looks at two frames beyond: the last one stands in for them
            yield from self._paired(self._run.push(self._waiting[-1][1]))
        frame, image = self._waiting.popleft()
        yield from _pair(frame, image, image, step)
        self._run = None

    def _paired(self, halfway: Iterator[Image]) -> Iterator[TimedImage]:
        """Yield the first waiting frame with each image half-way to the next."""
        for image in halfway:
            if len(self._waiting) > 1:
                frame, own = self._waiting.popleft()
                yield from _pair(frame, own, image, self._waiting[0][0].pts - frame.pts)


def _pair(frame: Frame, image: Image, second: Image, step: int) -> Iterator[TimedImage]:
    """Yield a frame and what is shown after half of its `step` ticks; ticks become half as long."""
    time_base = frame.time_base / 2
    yield TimedImage(image, 2 * frame.pts, time_base, step)
    yield TimedImage(second, 2 * frame.pts + step, time_base, step)


class _Run:
    """The filter for consecutive frames of one shot, uint8 (H,W,3)."""

    def __init__(self, height: int, width: int) -> None:
        self._size, self._count = (height, width), 0
        self._pad = [(0, max(LEAST_PX - side, -side % BLOCK_PX)) for side in (height, width)]
        (_, rows), (_, columns) = self._pad
        self._graph = av.filter.Graph()
        pixels = av.VideoFormat("yuv444p", width + columns, height + rows)
        source = self._graph.add_buffer(
            width=pixels.width, height=pixels.height, format=pixels, time_base=_HALF
        )
        chain = (source, self._graph.add("minterpolate", _FILTER), self._graph.add("buffersink"))
        for first, second in pairwise(chain):
            first.link_to(second)
        self._graph.configure()

    def push(self, image: Image) -> Iterator[Image]:
        """Add the next frame; yield the images half-way between two earlier ones, in order."""
        padded = np.pad(image, (*self._pad, (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(format="yuv444p")
        frame.pts, frame.time_base = 2 * self._count, _HALF
        self._count += 1
        self._graph.vpush(frame)
        while True:
            try:
                made = self._graph.vpull()
            except av.error.BlockingIOError:
                return
            assert made.pts is not None and made.time_base is not None
            # Whole numbers are the frames that were pushed
            if (made.pts * made.time_base).denominator == 2:
                height, width = self._size
                yield np.ascontiguousarray(made.to_ndarray(format="rgb24")[:height, :width])
