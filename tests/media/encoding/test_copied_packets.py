"""Every packet of a copied stream is in the output, with its bytes and its time."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fairy.media import VideoWriter, probe

RATE = 48_000
# FFmpeg's encoder and its options for the shortest packets it makes
CODECS = {
    "aac": {},
    "ac3": {},
    "alac": {},
    "flac": {"frame_size": "32"},
    "libmp3lame": {},
    "libopus": {"frame_duration": "2.5"},
    "libvorbis": {},
    "mp2": {},
}
CONTAINERS = (".mp4", ".mov", ".mkv", ".webm")
Packets = list[tuple[float, bytes]]


def add_video(file: av.container.OutputContainer, num_frames: int = 10) -> None:
    stream = file.streams.video[0]
    for index in range(num_frames):
        frame = av.VideoFrame(64, 48, "yuv420p")
        frame.pts = index
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def open_clip(path: Path) -> av.container.OutputContainer:
    file = av.open(str(path), "w")
    stream = file.add_stream("ffv1", rate=10)
    stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
    return file


@pytest.fixture
def sounding(tmp_path: Path) -> Callable[[str], Path]:
    """A function: a second of sound of a codec in Matroska, which rounds times to milliseconds."""

    def make(codec: str) -> Path:
        if codec not in av.codecs_available:
            pytest.skip(f"no encoder {codec} to make the clip with")
        with open_clip(tmp_path / "in.mkv") as file:
            stream = file.add_stream(codec, rate=RATE, layout="stereo", options=CODECS[codec])
            noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, RATE)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
            frame.rate, frame.pts = RATE, 0
            resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=RATE)
            packets = [p for part in resampler.resample(frame) for p in stream.encode(part)]
            packets += stream.encode(None)
            add_video(file)
            file.mux(packets)
        return tmp_path / "in.mkv"

    return make


def write_again(source: Path, out: Path) -> Path:
    info = probe(source)
    image = np.zeros((16, 16, 3), np.uint8)
    with VideoWriter(out, info=info, height=16, width=16) as writer:
        for index in range(info.num_frames):
            writer.write(image, index, Fraction(1, 10), 1)
    return out


def packets_of(path: Path, kind: str) -> list[tuple[str, Packets]]:
    """Return the codec and the packets of each stream of a kind: time in seconds and bytes."""
    with av.open(str(path)) as file:
        streams = [
            (s.index, s.codec_context.codec.canonical_name) for s in file.streams if s.type == kind
        ]
    found = []
    for index, codec in streams:
        with av.open(str(path)) as file:
            packets = [packet for packet in file.demux(file.streams[index]) if packet.size]
            found.append((codec, [(float(p.pts * p.time_base), bytes(p)) for p in packets]))
    return found


def assert_same(before: Packets, after: Packets) -> None:
    assert [data for _, data in after] == [data for _, data in before]
    shifts = [abs(a - b) for (a, _), (b, _) in zip(before, after, strict=True)]
    assert max(shifts) <= 1.5e-3


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("codec", CODECS)
def test_every_packet_of_sound_is_copied(sounding, tmp_path: Path, codec: str, suffix: str):
    source = sounding(codec)
    [(name, before)] = packets_of(source, "audio")
    [(new_name, after)] = packets_of(write_again(source, tmp_path / f"out{suffix}"), "audio")
    if new_name != name:
        pytest.skip(f"{suffix} cannot hold {name}: transcoded")
    assert_same(before, after)


def test_every_packet_of_truehd_is_copied(failing, tmp_path: Path):
    source = failing("thd.mkv")
    [(_, before)] = packets_of(source, "audio")
    [(_, after)] = packets_of(write_again(source, tmp_path / "out.mkv"), "audio")
    assert len(before) == 2400
    assert_same(before, after)


@pytest.fixture
def subtitled(tmp_path: Path) -> Callable[[str], Path]:
    """A function: a Matroska clip with subtitles that start together, as translated signs do."""

    def make(codec: str) -> Path:
        with open_clip(tmp_path / "in.mkv") as file:
            stream = file.add_mux_stream(codec)
            add_video(file)
            for index, start_ms in enumerate([100, 100, 100, 500, 500, 700]):
                packet = av.Packet(f"{index},0,Default,,0,0,0,,line {index}".encode())
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = start_ms
                packet.duration = 200
                file.mux(packet)
        return tmp_path / "in.mkv"

    return make


def test_subtitles_that_start_together_are_all_copied(failing, tmp_path: Path):
    source = failing("subs_same.mkv")
    [(_, before)] = packets_of(source, "subtitle")
    [(_, after)] = packets_of(write_again(source, tmp_path / "out.mkv"), "subtitle")
    assert len(before) == 4
    assert_same(before, after)


@pytest.mark.parametrize("codec", ["ass", "subrip"])
def test_every_subtitle_is_copied(subtitled, tmp_path: Path, codec: str):
    source = subtitled(codec)
    [(_, before)] = packets_of(source, "subtitle")
    [(_, after)] = packets_of(write_again(source, tmp_path / "out.mkv"), "subtitle")
    assert len(before) == 6
    assert_same(before, after)
