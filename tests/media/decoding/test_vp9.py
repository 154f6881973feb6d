"""VP9 frames that are never shown are no pictures, whether they share a packet or not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from fairy.media.decoding.vp9 import frame_starts, shows_picture
from fairy.media.read import probe, read_frames

NUM_FRAMES = 60
WITH_HIDDEN_FRAMES = {
    "deadline": "realtime", "cpu-used": "6", "lag-in-frames": "25", "auto-alt-ref": "1", "b": "200k"
}  # fmt: skip


def make_clip(path: Path, *, split: bool) -> Path:
    """Write a clip with hidden frames, in packets of their own if `split`."""
    # Without FFmpeg joining them again
    with av.open(str(path), "w", options={"fflags": "-autobsf"}) as file:
        stream = file.add_stream("libvpx-vp9", rate=25, options=WITH_HIDDEN_FRAMES)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        packets = []
        y, x = np.mgrid[0:48, 0:200]
        waves = np.stack([127 + 100 * np.sin(x / 9), 127 + 100 * np.cos(y / 7), x % 255], axis=-1)
        for index in range(NUM_FRAMES):
            image = np.ascontiguousarray(waves[:, index : index + 64], np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            packets += stream.encode(frame)
        packets += stream.encode(None)
        splitter = BitStreamFilterContext("vp9_superframe_split", stream)
        for packet in packets:
            time_ms = 40 * (packet.pts or 0)
            for part in splitter.filter(packet) if split else [packet]:
                # Hidden frames get a time of their own, just before the picture's
                part.pts = part.dts = time_ms - (part.pts is None)
                part.time_base = Fraction(1, 1000)
                part.stream = stream
                file.mux(part)
    return path


@pytest.mark.parametrize("split", [False, True])
def test_hidden_frames_are_no_pictures(tmp_path: Path, split: bool):
    path = make_clip(tmp_path / "clip.mkv", split=split)
    with av.open(str(path)) as file:
        num_packets = sum(packet.size > 0 for packet in file.demux(video=0))
    assert (num_packets > NUM_FRAMES) == split
    assert probe(path).num_frames == NUM_FRAMES
    frames = list(read_frames(path))
    assert len(frames) == NUM_FRAMES
    assert not any(frame.stands_in for frame in frames)


@pytest.mark.parametrize(
    ("first_byte", "shown"),
    [
        (0b10_00_0_0_1_0, True),
        (0b10_00_0_0_0_0, False),
        (0b10_00_1_0_0_0, True),
        (0b10_11_0_0_0_1, True),
        (0b10_11_0_0_0_0, False),
    ],
)
def test_the_first_byte_says_whether_a_frame_is_shown(first_byte: int, shown: bool):
    assert shows_picture(first_byte) == shown


def test_a_superframe_lists_its_frames():
    marker = 0b110_00_001
    data = bytes([0x80] * 5 + [0x82] * 3 + [marker, 5, 3, marker])
    assert frame_starts(memoryview(data)) == [0, 5]
    assert frame_starts(memoryview(bytes([0x82, 0, 0]))) == [0]
