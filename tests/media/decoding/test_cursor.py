"""Seeking gives the pictures that decoding from the start gives, and decodes fewer."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import supported_np_pix_fmts

from fairy.media.decoding import cursor as cursor_module
from fairy.media.decoding.container import open_video
from fairy.media.decoding.cursor import PictureCursor
from fairy.media.decoding.decode import Picture, Pictures, readable_packets
from fairy.media.decoding.deinterlace import deinterlaced
from tests.media.conftest import CLIPS

NAMES = sorted(
    str(path.relative_to(CLIPS))
    for path in CLIPS.rglob("*")
    # Those left out differ from others in their size alone
    if path.suffix not in ("", ".md", ".png")
    and not path.name.startswith(("audio_only", "d04", "d05", "d10"))
)
NUM_FRAMES = 60
# One in three is read in `make test`, all in `make test-full`
CASES = [
    pytest.param(name, marks=[] if number % 3 == 0 else pytest.mark.slow)
    for number, name in enumerate(NAMES)
]

# Encoder, suffix, options: key frames every 12 pictures, closed or open groups.
KINDS = {
    "h264": ("libx264", ".mp4", {"g": "12", "sc_threshold": "0"}),
    "h264-open": ("libx264", ".mkv", {"g": "12", "x264-params": "open-gop=1:scenecut=0"}),
    "h264-refresh": ("libx264", ".mp4", {"g": "12", "x264-params": "intra-refresh=1"}),
    "hevc-open": ("libx265", ".mov", {"x265-params": "log-level=none:keyint=12:open-gop=1"}),
    "vp9": ("libvpx-vp9", ".webm", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "av1": ("libsvtav1", ".mkv", {"g": "12", "preset": "12"}),
    "mjpeg": ("mjpeg", ".mov", {}),
    "ffv1": ("ffv1", ".mkv", {"g": "12", "context": "1"}),
}


@pytest.fixture
def moving_clip(tmp_path: Path) -> Callable[..., Path]:
    """A function: a clip of a picture that slides by, of one of `KINDS`."""

    def make(kind: str, *, interlaced: bool = False) -> Path:
        encoder, suffix, options = KINDS[kind]
        path = tmp_path / f"clip{suffix}"
        if encoder not in av.codecs_available:
            pytest.skip(f"no encoder {encoder} to make the clip with")
        noise = np.random.default_rng(0).integers(0, 256, (24, 48, 3), np.uint8)
        wide = np.kron(noise, np.ones((4, 4, 1), np.uint8))
        if interlaced:
            options = options | {"flags": "+ildct+ilme", "x264-params": "tff=1"}
        with av.open(str(path), "w") as file:
            stream = file.add_stream(encoder, rate=25, options=options)
            stream.height, stream.width = 96, 128
            stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
            for index in range(NUM_FRAMES):
                image = np.ascontiguousarray(wide[:, index : index + 128])
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        return path

    return make


def content(picture: Picture) -> tuple[int, int, bool, str]:
    frame = picture.frame
    plain = frame.format.name in supported_np_pix_fmts and frame.width % 2 == frame.height % 2 == 0
    pixels = frame if plain else frame.to_rgb()
    digest = hashlib.sha1(pixels.to_ndarray().tobytes()).hexdigest()
    return picture.pts, picture.duration, picture.stands_in, digest


def decode_all(path: Path) -> list[tuple[int, int, bool, str]]:
    with open_video(path) as (container, stream):
        pictures = Pictures(stream, readable_packets(container, stream))
        return [content(picture) for picture in deinterlaced(pictures)]


def assert_found(path: Path, every: list[tuple[int, int, bool, str]], numbers: list[int]) -> None:
    with PictureCursor(path) as cursor:
        for number in numbers:
            picture = cursor.at(number)
            assert picture is not None
            assert content(picture) == every[number], number


@pytest.mark.parametrize("name", CASES)
def test_any_pictures_of_a_real_clip_are_those_of_a_full_decode(clip, name: str):
    path = clip(name)
    every, draw = decode_all(path), random.Random(name)
    for count in (1, 3, 6):
        assert_found(path, every, sorted(draw.sample(range(len(every)), min(count, len(every)))))


@pytest.mark.parametrize("kind", KINDS)
def test_any_pictures_of_any_codec_are_those_of_a_full_decode(moving_clip, kind: str):
    path = moving_clip(kind)
    every, draw = decode_all(path), random.Random(0)
    assert len(every) == NUM_FRAMES
    for count in (1, 1, 2, 3, 5):
        assert_found(path, every, sorted(draw.sample(range(NUM_FRAMES), count)))
    for start in (13, 24, 47):
        assert_found(path, every, list(range(start, NUM_FRAMES)))


@pytest.fixture
def num_packets(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of packets that cursors have decoded so far, as a list of one."""
    counted = [0]

    def counting(container, stream) -> Iterator[av.Packet]:
        for packet in readable_packets(container, stream):
            counted[0] += 1
            yield packet

    monkeypatch.setattr(cursor_module, "readable_packets", counting)
    return counted


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("h264-refresh",)])
def test_what_nobody_asks_for_is_not_decoded(moving_clip, num_packets: list[int], kind: str):
    with PictureCursor(moving_clip(kind)) as cursor:
        for number in (0, 38, 50):
            assert cursor.at(number) is not None
        if kind == "h264-open":
            # Its recovery points are no entries
            assert num_packets[0] > NUM_FRAMES - 12
        else:
            assert num_packets[0] < NUM_FRAMES - 12


@pytest.mark.parametrize("lost", [2, 26, 37, 40])
def test_damage_ends_seeking_and_changes_nothing(moving_clip, lost: int):
    path = moving_clip("h264")
    with av.open(str(path)) as file:
        packet = [packet for packet in file.demux(video=0) if packet.size][lost]
    data = bytearray(path.read_bytes())
    data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    every = decode_all(path)
    assert any(stands_in for _, _, stands_in, _ in every)
    for numbers in ([38], [30, 45], list(range(25, NUM_FRAMES))):
        assert_found(path, every, numbers)


def test_interlaced_pictures_keep_their_neighbours(moving_clip):
    path = moving_clip("h264", interlaced=True)
    every = decode_all(path)
    assert_found(path, every, [24, 40])


def test_there_is_nothing_after_the_last_picture(moving_clip):
    with PictureCursor(moving_clip("h264")) as cursor:
        assert cursor.at(NUM_FRAMES - 1) is not None
        assert cursor.at(NUM_FRAMES) is None
    with PictureCursor(moving_clip("h264")) as cursor:
        assert cursor.at(NUM_FRAMES + 100) is None
