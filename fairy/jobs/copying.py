"""Decide which frames of an edit are copied from the source instead of being encoded again.

These are the frames before and after the part that `--from` and `--to` name, if the result stores
pictures as the source does (`fairy.media.encoding.copied`). Tests: tests/jobs/test_copying.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from fairy.control.changes import Changes
from fairy.media.encoding.copied import CopiedFrames, find_copied
from fairy.media.info import VideoInfo
from fairy.media.shots import Shot
from fairy.media.write import video_encoding
from fairy.settings import EditConfig

logger = logging.getLogger(__name__)


def copied_frames(
    out: Path, config: EditConfig, info: VideoInfo, changes: Changes
) -> CopiedFrames | None:
    """Return the frames that the result `out` takes from the source as they are stored, if any."""
    if not config.stream_copy or (config.edit_from is None and config.edit_to is None):
        return None
    changers = (config.upscale, config.interpolate, config.watermark)
    keeps_pictures = config.keep_size and changers == (None, None, None)
    encoding = video_encoding(out, info, (info.height, info.width), config)
    # With `strict`, every frame has to be decoded
    if encoding is None or not keeps_pictures or config.strict:
        return None
    first, end = changes.extent
    return find_copied(info, encoding, config, [range(first), range(end, info.num_frames)])


def encoded_parts(shot: Shot, copied: CopiedFrames | None) -> Iterator[Shot]:
    """Yield the frames of a shot that are not copied, as (first, frame after the last)."""
    start, end = shot
    for span in copied.spans if copied is not None else ():
        if start < min(span.first, end):
            yield start, min(span.first, end)
        start = max(start, span.end)
    if start < end:
        yield start, end


def log_copied(copied: CopiedFrames | None) -> None:
    """Log which frames are copied."""
    if copied is not None:
        frames = " and ".join(f"{one.first} to {one.end - 1}" for one in copied.spans)
        logger.info("frames %s are copied as they are stored", frames)
