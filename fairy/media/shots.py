"""Find the cuts in a clip by the score of FFmpeg's scdet on small pictures; list shots as ranges.

A shot is (first frame, frame after the last); a clip's shots follow each other without gaps.
docs/shots.md has the detector's measured accuracy. Tests: tests/media/test_shots.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from fairy.errors import SettingsError
from fairy.media.colours import SmallYuv
from fairy.media.decoding.container import open_video
from fairy.media.decoding.decode import Pictures, readable_packets
from fairy.media.folder import ImageReader, clip_images
from fairy.media.read import read_frames
from fairy.media.stretch import is_whole
from fairy.settings import MediaConfig

Shot = tuple[int, int]
"""(first frame, frame after the last)."""

# Width at which pictures are compared: finding cuts does not need fine detail.
WIDTH_PX = 160
# scdet's score, 0 to 100; measured by benchmarks/quality/shot_detection.py.
THRESHOLD = 6.0
# A flash looks like two cuts a frame or two apart.
MIN_FRAMES = 6


def find_shots(
    path: Path, media: MediaConfig, on_frame: Callable[[], None] = lambda: None
) -> tuple[Shot, ...]:
    """Return the shots of the clip at `path`; decodes it once and compares shrunken pictures.

    `on_frame` is called after each frame; what it raises ends the search.

    Raises:
        MediaError: the clip cannot be read.
    """
    finder = CutFinder()
    for frame in _decoded_frames(path, media):
        finder.add(frame)
        on_frame()
    return shots_between(finder.cuts(), finder.num_frames)


def read_shots(path: Path, num_frames: int) -> tuple[Shot, ...]:
    """Return the shots listed in a text file: the first frame of each, one per line.

    Blank lines and text after a `#` are ignored. Frame 0 always begins a shot, listed or not.

    Raises:
        SettingsError: the file cannot be read, or a line is not the number of a frame in the clip.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        starts = [int(line) for text in lines if (line := text.split("#")[0].strip())]
    except OSError as error:
        raise SettingsError(
            f"--shots {path}: cannot be read ({error.strerror}): use auto, off, or a file of frame "
            "numbers, one per line, at which shots begin"
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"--shots {path}: not a list of frame numbers ({error}): give one per line, as in 120"
        ) from error
    try:
        return shots_from(starts, num_frames)
    except SettingsError as error:
        raise SettingsError(f"--shots {path}: {error}") from error


class CutFinder:
    """Finds cuts in frames that are added one by one.

    Args:
        threshold: lowest score, 0 to 100, at which a frame begins a new shot.

    Attributes:
        num_frames: number of frames added so far.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._small: SmallYuv | None = None
        self._last: npt.NDArray[np.int16] | None = None
        self._last_difference = 0.0
        self._cuts: list[int] = []
        self.num_frames = 0

    def add(self, frame: av.VideoFrame) -> None:
        """Compare the next frame with the one before it."""
        if self._small is None:
            height = max(2, round(frame.height * WIDTH_PX / frame.width))
            self._small = SmallYuv(height, WIDTH_PX)
        if self._score(self._small.of(frame)) >= self._threshold:
            self._add_cut(self.num_frames)
        self.num_frames += 1

    def _score(self, small: av.VideoFrame) -> float:
        """Return scdet's score, computed as in FFmpeg's vf_scdet.c (PyAV 16 cannot read it).

        The score is the mean luma difference to the frame before, in percent, or the change in
        that difference, whichever is smaller: motion changes every frame, a cut only one.
        """
        now = np.asarray(small.to_ndarray()[0], dtype=np.int16)
        if self._last is None:
            self._last = now
            return 0.0
        difference = 100 * float(np.abs(now - self._last).mean()) / 256
        score = min(difference, abs(difference - self._last_difference))
        self._last, self._last_difference = now, difference
        return score

    def _add_cut(self, index: int) -> None:
        before = self._cuts[-1] if self._cuts else 0
        if index - before >= MIN_FRAMES:
            self._cuts.append(index)

    def cuts(self) -> list[int]:
        """Return the frames that begin a new shot, without frame 0."""
        return list(self._cuts)


def shots_from(starts: Iterable[int], num_frames: int) -> tuple[Shot, ...]:
    """Return the shots of a clip of `num_frames` that begin at the frames `starts`, in any order.

    Frame 0 always begins a shot, even if it is not in `starts`.

    Raises:
        SettingsError: a frame is not in the clip.
    """
    ordered = sorted({*starts})
    if outside := [start for start in ordered if not 0 <= start < num_frames]:
        raise SettingsError(f"frame {outside[0]} is not in the clip: use 0 to {num_frames - 1}")
    return shots_between([start for start in ordered if start > 0], num_frames)


def shots_between(cuts: Sequence[int], num_frames: int) -> tuple[Shot, ...]:
    """Return the shots of a clip of `num_frames` with cuts before the frames `cuts`.

    >>> shots_between([40, 90], num_frames=120)
    ((0, 40), (40, 90), (90, 120))
    """
    starts = [0, *cuts]
    return tuple(zip(starts, [*cuts, num_frames], strict=True))


def _decoded_frames(path: Path, media: MediaConfig) -> Iterator[av.VideoFrame]:
    """Yield the clip's frames for comparison, including copies that replace lost ones."""
    images = clip_images(path)
    if not is_whole(media):
        for frame in read_frames(path, media):
            yield av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.image), format="rgb24")
        return
    if images is not None:
        reader = ImageReader(images)
        for image in map(reader.image, range(len(images))):
            yield av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        return
    with open_video(path, media.video_stream) as (container, stream):
        for picture in Pictures(stream, readable_packets(container, stream), strict=media.strict):
            yield picture.frame
