"""Recordings whose sound changes in the middle: pieces of transport streams, joined."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def write_recording(path: Path, sounds: list[tuple[str, int]], num_frames: int) -> Path:
    """Write a piece of `num_frames` pictures at 25 frames/s for each sound, (layout, rate)."""
    pieces = []
    for layout, rate in sounds:
        piece = path.with_name(f"{layout}{rate}.ts")
        with av.open(str(piece), "w") as file:
            video = file.add_stream("mpeg2video", rate=25)
            video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
            sound = file.add_stream("ac3", rate=rate, layout=layout)
            for index in range(num_frames):
                frame = av.VideoFrame(64, 48, "yuv420p")
                frame.pts = index
                file.mux(video.encode(frame))
                count = len(av.AudioLayout(layout).channels)
                samples = np.zeros((count, rate // 25), np.float32)
                part = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
                part.sample_rate, part.pts = rate, index * rate // 25
                file.mux(sound.encode(part))
            file.mux(video.encode(None))
            file.mux(sound.encode(None))
        pieces.append(piece.read_bytes())
    path.write_bytes(b"".join(pieces))
    return path
