"""Of a transport stream with two programmes, each keeps its own sound and clock."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import av
import numpy as np
import pytest

from fairy.errors import MediaError
from fairy.media import probe, read_frames
from fairy.media.decoding.programmes import programme_of
from fairy.settings import MediaConfig

PACKET = 188


def crc32(data: bytes) -> bytes:
    """Return the checksum of a table (ISO/IEC 13818-1, annex A)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc.to_bytes(4, "big")


def write_programme(path: Path, number: int, size: tuple[int, int], start_s: int) -> list[bytes]:
    options = {
        "mpegts_service_id": str(number),
        "mpegts_pmt_start_pid": str(0x800 * number),
        "mpegts_start_pid": str(0x100 * number),
        "output_ts_offset": str(start_s),
    }
    with av.open(str(path), "w", format="mpegts", options=options) as file:
        video = file.add_stream("mpeg2video", rate=25)
        video.height, video.width, video.pix_fmt = *size, "yuv420p"
        audio = file.add_stream("mp2", rate=44_100, layout="mono" if number == 1 else "stereo")
        for index in range(25):
            frame = av.VideoFrame(size[1], size[0], "yuv420p")
            frame.pts = index
            file.mux(video.encode(frame))
            channels = number
            silence = np.zeros((1, channels * 1764), np.int16)
            layout = "mono" if number == 1 else "stereo"
            sound = av.AudioFrame.from_ndarray(silence, format="s16", layout=layout)
            sound.sample_rate = 44_100
            file.mux(audio.encode(sound))
        file.mux(video.encode(None))
        file.mux(audio.encode(None))
    data = path.read_bytes()
    return [data[place : place + PACKET] for place in range(0, len(data), PACKET)]


@pytest.fixture
def two_programmes(tmp_path: Path) -> Callable[..., Path]:
    """A function: a small mono programme and a larger stereo one, their packets by turns."""

    def make(*starts_s: int) -> Path:
        packets = [
            write_programme(tmp_path / f"{number}.ts", number, size, start_s)
            for number, size, start_s in zip((1, 2), [(48, 64), (96, 128)], starts_s, strict=True)
        ]
        # One table of programmes in the place of two
        table = bytes.fromhex("00b0110001c10000")
        for number in (1, 2):
            table += number.to_bytes(2, "big") + (0xE000 | 0x800 * number).to_bytes(2, "big")
        section = b"\0" + table + crc32(table)
        mixed = []
        for pair in zip_longest(*packets):
            for packet in filter(None, pair):
                pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
                is_table = pid == 0
                mixed.append((packet[:4] + section).ljust(PACKET, b"\xff") if is_table else packet)
        path = tmp_path / "both.ts"
        path.write_bytes(b"".join(mixed))
        return path

    return make


def channels(path: Path, stream: int | None = None) -> list[int]:
    return [audio.channels for audio in probe(path, MediaConfig(video_stream=stream)).audio]


def test_the_sound_is_that_of_the_chosen_programme(two_programmes):
    path = two_programmes(0, 0)
    with av.open(str(path)) as file:
        by_height = {stream.height: stream.index for stream in file.streams.video}
        assert len(file.streams.audio) == 2
        assert len(programme_of(file, path, by_height[48]) or ()) == 2
    # Which programme is the best is FFmpeg's choice
    assert channels(path) == [1 if probe(path).height == 48 else 2]
    assert channels(path, by_height[48]) == [1]
    assert channels(path, by_height[96]) == [2]


def test_each_programme_has_a_clock_of_its_own(two_programmes):
    path = two_programmes(0, 5000)
    with av.open(str(path)) as file:
        streams = [stream.index for stream in file.streams.video]
    for stream in streams:
        frames = list(read_frames(path, MediaConfig(video_stream=stream)))
        assert len(frames) == 25
        assert 0 <= float(frames[0].time_s) < 0.2
        assert float(frames[-1].time_s - frames[0].time_s) == pytest.approx(0.96)


def test_a_file_with_one_programme_keeps_all(tmp_path: Path):
    path = tmp_path / "one.ts"
    write_programme(path, 1, (48, 64), 0)
    with av.open(str(path)) as file:
        assert programme_of(file, path, 0) is None


def piece(codec: str, *, audio_codec: str) -> bytes:
    """Return a transport stream of a second."""
    content = io.BytesIO()
    with av.open(content, "w", format="mpegts") as file:
        video = file.add_stream(codec, rate=10)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        audio = file.add_stream(audio_codec, rate=44_100, layout="mono")
        for index in range(10):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = index
            file.mux(video.encode(frame))
            sound = av.AudioFrame.from_ndarray(
                np.zeros((1, 4410), np.int16), format="s16", layout="mono"
            )
            sound.sample_rate = 44_100
            file.mux(audio.encode(sound))
        file.mux(video.encode(None))
        file.mux(audio.encode(None))
    return content.getvalue()


def test_sound_of_another_codec_from_the_middle_on_is_left_out_and_said(tmp_path: Path, caplog):
    path = tmp_path / "joined.ts"
    path.write_bytes(piece("libx264", audio_codec="mp2") + piece("libx264", audio_codec="aac"))
    assert probe(path).audio == ()
    assert "audio stream 1 changes its codec in the middle (AAC, MP2); left out" in caplog.text


def test_another_codec_far_into_a_file_is_found(tmp_path: Path):
    nothing = (b"\x47\x1f\xff\x10").ljust(PACKET, b"\xff") * 40_000
    path, sound = tmp_path / "joined.ts", "mp2"
    path.write_bytes(
        piece("libx264", audio_codec=sound) + nothing + piece("mpeg2video", audio_codec=sound)
    )
    with pytest.raises(MediaError, match="change their codec"):
        probe(path)


def test_a_damaged_table_names_no_codec(tmp_path: Path):
    data = bytearray(piece("libx264", audio_codec="mp2"))
    path = tmp_path / "damaged.ts"
    # The last map of the programme, in whose entries each stream's type stands before its number
    place = data.rindex(b"\x1b\xe1\x00")
    data[place] = 0x02
    path.write_bytes(data)
    assert probe(path).num_frames == 10
