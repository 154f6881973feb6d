"""A small H.264 copy of a clip for players in browsers; it is shown, never edited.

Browsers play few of the formats that people have: no HEVC, no ProRes, often no QuickTime. A proxy
has the clip's timestamps, upright frames and audio. Tests: tests/app/test_library.py.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from fairy.media.info import VideoInfo
from fairy.media.read import probe, read_frames
from fairy.media.write import VideoWriter
from fairy.settings import MediaConfig

# What every browser plays, by suffix: video codec, pixel formats, audio codecs
PLAYED = {
    ".mp4": ("h264", ("yuv420p", "yuvj420p"), ("aac", "mp3")),
    ".webm": ("vp9", ("yuv420p",), ("opus", "vorbis")),
}
MAX_SIDE_PX = 1280


def plays_in_browsers(info: VideoInfo) -> bool:
    """Return whether every browser shows the file as Fairy reads it."""
    if info.path.suffix.lower() not in PLAYED or info.rotation or info.mirrored or info.notes:
        return False
    codec, pix_fmts, audio = PLAYED[info.path.suffix.lower()]
    steady = float(info.longest_step_s) <= 1.5 / float(info.fps)
    return (
        info.codec == codec
        and info.pix_fmt in pix_fmts
        and all(stream.codec in audio for stream in info.audio)
        and info.sample_aspect_ratio == 1
        and steady
    )


def write_proxy(source: Path, out: Path, media: MediaConfig | None = None) -> None:
    """Write the clip, or the stretch that `media` cuts out, to `out`, an .mp4 for browsers.

    Raises:
        MediaError: the clip cannot be read, or the proxy cannot be written.
    """
    # It imports torch, which a page that has just started need not wait for
    from fairy.media.frames import fit_size, resize

    media = media or MediaConfig()
    info = probe(source, media)
    width = round(info.width * info.sample_aspect_ratio)
    size = fit_size(info.height, width, size=min(MAX_SIDE_PX, max(info.height, width)), multiple=2)
    # Square pixels
    info = replace(info, sample_aspect_ratio=Fraction(1))
    encoding = MediaConfig(codec="h264", pix_fmt="yuv420p", crf=26)
    with VideoWriter(out, info=info, height=size[0], width=size[1], media=encoding) as writer:
        for frame in read_frames(source, media):
            image = resize(frame.image, size)
            writer.write(image, frame.pts, frame.time_base, frame.duration)
