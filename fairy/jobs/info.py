"""Describe a clip's contents: the rows that `fairy info` prints.

Tests: tests/jobs/test_info.py.
"""

from __future__ import annotations

from pathlib import Path

from fairy.jobs.warnings_log import Notes
from fairy.media.info import AudioInfo, VideoInfo
from fairy.media.read import probe


def describe_clip(path: Path | str) -> list[tuple[str, str]]:
    """Return rows of (what, value) about the clip at `path`.

    Raises:
        MediaError: the file cannot be read as a clip.
    """
    with Notes(own_thread=True) as notes:
        info = probe(Path(path))
    return [
        ("file", str(info.path)),
        ("frames", str(info.num_frames)),
        ("duration", f"{float(info.duration_s):.3f} s, from {float(info.start_s):.3f} s"),
        ("rate", f"{float(info.fps):.3f} frames/s on average ({info.fps})"),
        ("size", f"{info.width}x{info.height} shown{_coded(info)}"),
        ("codec", f"{info.codec}, {info.pix_fmt}{_stream(info)}"),
        ("colours", f"{info.colorspace}, {_RANGES[info.color_range]}"),
        ("audio", "; ".join(_audio(stream) for stream in info.audio) or "none"),
        *(("note", line.removeprefix(f"{path}: ")) for line in notes.lines),
    ]


_RANGES = {"tv": "limited range (tv)", "pc": "full range (pc)"}


def _coded(info: VideoInfo) -> str:
    """Return how the stored picture differs from the displayed one, if it does."""
    size = (info.coded_height, info.coded_width)
    if size == (info.height, info.width) and not info.rotation and not info.mirrored:
        return ""
    mirrored = "mirrored, " if info.mirrored else ""
    return f" (stored {size[1]}x{size[0]}, {mirrored}rotation {info.rotation} degrees)"


def _stream(info: VideoInfo) -> str:
    """Return which of several video streams this is, for --video-stream."""
    if len(info.video_streams) < 2:
        return ""
    return f" (stream {info.stream_index} of {', '.join(map(str, info.video_streams))})"


def _audio(stream: AudioInfo) -> str:
    """Describe an audio stream."""
    return f"{stream.codec}, {stream.sample_rate} Hz, {stream.channels} channels"
