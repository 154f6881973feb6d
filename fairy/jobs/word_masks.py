"""Masks that words describe, as in `--mask "red car"`: found, held steady over each shot, kept.

A segmenter finds them frame by frame. Along the optical flow, within a shot, a frame's mask
continues that of the frame before, and what was white stays white until it is clearly gone. They
are written once, as a lossless video in the user's cache, and then are masks as from a file.
Shapes: frames uint8 (H,W,3), likelihoods float32 (S,S) in [0,1].
Tests: tests/jobs/test_word_masks.py.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fairy.control.masks import Mask, is_words
from fairy.interrupt import Cancel
from fairy.jobs.manifest import SourceIdentity
from fairy.media.colours import Image
from fairy.media.info import Frame, VideoInfo
from fairy.media.read import read_frames
from fairy.media.write import write_video
from fairy.models.registry import resolve_device
from fairy.models.segmenter import SEGMENTER, Segmenter
from fairy.settings import EditConfig, MediaConfig

logger = logging.getLogger(__name__)

# Share of the frame before in a likelihood, and what a pixel that was white has ahead: a pixel
# turns white above 0.5, and black again below 0.5 - HELD
KEPT, HELD = 0.5, 0.15
# Mean difference in grey levels, along the flow, above which a frame is of another shot
MAX_CHANGE = 24.0
LOSSLESS = MediaConfig(codec="ffv1", pix_fmt="bgr0")

Find = Callable[[Image], Mask]


def mask_file(config: EditConfig, clip: VideoInfo, cancel: Cancel | None = None) -> Path | None:
    """Return the file of an edit's mask; one that words describe is made unless it is there.

    `cancel` stops the search for it, and is checked after each frame.

    Raises:
        ModelError: the segmenter is not on this machine.
    """
    if config.mask is None:
        return None
    if not is_words(config.mask):
        return Path(config.mask)
    words = " ".join(config.mask.split())
    path = _cache() / f"{_key(words, config, clip)}.mkv"
    if not path.exists():
        find = Segmenter(words, resolve_device(config.device))
        logger.info("looking for %r in %d frames", words, clip.num_frames)
        frames = read_frames(clip.path, MediaConfig.part_of(config))
        _write(steady(_checked(frames, cancel or Cancel()), find), clip, path)
    return path


def _checked(frames: Iterable[Frame], cancel: Cancel) -> Iterator[Image]:
    for frame in frames:
        yield frame.image
        cancel.check()


def steady(frames: Iterable[Image], find: Find) -> Iterator[Mask]:
    """Yield a mask (H,W) of 0 and 1 for each frame; nothing is held over a cut.

    Args:
        frames: of a clip, in order.
        find: a frame's likelihoods.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    before: tuple[NDArray[np.uint8], Mask, Mask] | None = None
    for frame in frames:
        likely = find(frame)
        height, width = frame.shape[:2]
        small = cv2.resize(frame, likely.shape[::-1], interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        held = np.zeros_like(likely)
        if before is not None:
            motion = flow.calc(grey, before[0], np.zeros((*grey.shape, 2), np.float32))
            if np.abs(_moved(before[0].astype(np.float32), motion) - grey).mean() < MAX_CHANGE:
                likely = KEPT * _moved(before[1], motion) + (1 - KEPT) * likely
                held = _moved(before[2], motion)
        # Enlarged before it is cut off, so that its outline is smooth
        level = np.asarray(likely + HELD * held, np.float32)
        before = (grey, likely, (level > 0.5).astype(np.float32))
        whole = cv2.resize(level, (width, height), interpolation=cv2.INTER_LINEAR)
        yield (whole > 0.5).astype(np.float32)


def _moved(values: Mask, motion: Any) -> Mask:
    """Return the values of the frame before where a frame's pixels were in it."""
    rows, columns = np.indices(values.shape, dtype=np.float32)
    x, y = columns + motion[..., 0], rows + motion[..., 1]
    moved = cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _write(masks: Iterator[Mask], clip: VideoInfo, path: Path) -> None:
    """Write one mask for each frame that the clip's headers promise, whole or not at all."""

    def pictures() -> Iterator[Image]:
        count, picture = 0, np.zeros((clip.height, clip.width, 3), np.uint8)
        for mask in masks:
            picture = np.repeat((mask * 255).astype(np.uint8)[..., None], 3, axis=-1)
            count += 1
            yield picture
        yield from (picture for _ in range(clip.num_frames - count))

    write_video(pictures(), path, clip.fps, media=LOSSLESS, overwrite=True)


def _cache() -> Path:
    """Return the folder of masks in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fairy" / "masks"


def _key(words: str, config: EditConfig, clip: VideoInfo) -> str:
    """Return a name for what masks depend on."""
    content = SourceIdentity.of(clip.path).content
    media = (config.start_s, config.end_s, config.max_frames, config.video_stream, config.strict)
    what = (SEGMENTER, words, content, media, KEPT, HELD)
    return hashlib.sha256(repr(what).encode()).hexdigest()[:32]
