"""A clip written again as an edit writes it, with nothing changed."""

from __future__ import annotations

from pathlib import Path

from fairy.media import VideoWriter, probe, read_frames
from fairy.settings import MediaConfig

AS_USUAL = MediaConfig()


def copy(source: Path, out: Path, media: MediaConfig = AS_USUAL) -> Path:
    """Write the frames of `source`, and what goes with them, to `out`; return `out`."""
    info = probe(source, media)
    with VideoWriter(out, info=info, height=info.height, width=info.width) as writer:
        for frame in read_frames(source, media):
            writer.write(frame.image, frame.pts, frame.time_base, frame.duration)
    return out
