"""A file's contents as `ffprobe` reports them, without our code or PyAV's."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

HAS_FFPROBE = shutil.which("ffprobe") is not None


def frame_times(path: Path) -> list[Fraction]:
    """Return the exact times of the shown video packets (VP8: pictures), in seconds, sorted."""
    stream = _video(path)
    unit = Fraction(stream["time_base"])
    index = str(stream["index"])
    if stream["codec_name"] == "vp8":
        frames = _probe(path, "-select_streams", index, "-show_frames")["frames"]
        return sorted(frame["pts"] * unit for frame in frames)
    packets = _probe(path, "-select_streams", index, "-show_packets")["packets"]
    return sorted(packet["pts"] * unit for packet in packets if "D" not in packet["flags"])


def audio_packets(path: Path) -> list[list[tuple[Fraction, str]]]:
    """Return, for each audio stream with a codec, its packets as (time in seconds, MD5)."""
    streams = [s for s in _streams(path) if s["codec_type"] == "audio" and "codec_name" in s]
    known = _probe(path, "-show_packets", "-show_data_hash", "md5")["packets"]
    return [
        [
            (packet["pts"] * Fraction(stream["time_base"]), packet["data_hash"])
            for packet in known
            if packet["stream_index"] == stream["index"]
        ]
        for stream in streams
    ]


def shown_size(path: Path) -> tuple[int, int]:
    """Return (width, height) after the turn that the file asks for."""
    stream = _video(path)
    turn = next((d["rotation"] for d in stream.get("side_data_list", ()) if "rotation" in d), 0)
    width, height = stream["width"], stream["height"]
    return (height, width) if turn % 180 else (width, height)


def _video(path: Path) -> dict[str, Any]:
    """Return the video stream with the most pixels."""
    videos = [stream for stream in _streams(path) if stream["codec_type"] == "video"]
    return max(videos, key=lambda stream: stream["width"] * stream["height"])


def _streams(path: Path) -> list[dict[str, Any]]:
    return list(_probe(path, "-show_streams")["streams"])


def _probe(path: Path, *options: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "quiet", "-of", "json", *options, str(path)]
    said = subprocess.run(command, capture_output=True, check=True).stdout
    return dict(json.loads(said.decode(errors="replace")))
