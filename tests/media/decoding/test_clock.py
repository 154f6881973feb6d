"""Recordings that are joined, jump or start anywhere are on one clock that starts at 0."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.lib.odd_clips import before_zero
from fairy.media import probe, read_frames
from fairy.media.decoding.clock import packets_of

NUM_FRAMES = 25
FORMATS = {".ts": "mpegts", ".vob": "vob", ".flv": "flv"}
CODECS = {".ts": ("mpeg2video", "mp2"), ".vob": ("mpeg2video", "mp2"), ".flv": ("flv1", "aac")}


def write_second(path: Path, start_s: int = 0, suffix: str | None = None) -> Path:
    """Write a second of pictures, each of another grey, and a little more of sound."""
    suffix = suffix or path.suffix
    video_codec, audio_codec = CODECS.get(suffix, ("libx264", "aac"))
    options = {"output_ts_offset": str(start_s)}
    with av.open(str(path), "w", format=FORMATS.get(suffix), options=options) as file:
        video = file.add_stream(video_codec, rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        audio = file.add_stream(audio_codec, rate=44_100, layout="stereo")
        for index in range(NUM_FRAMES):
            image = np.full((48, 64, 3), 9 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            file.mux(video.encode(frame))
            silence = np.zeros((2, 1837), np.float32)
            sound = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
            sound.sample_rate = 44_100
            file.mux(audio.encode(sound))
        file.mux(video.encode(None))
        file.mux(audio.encode(None))
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Callable[..., Path]:
    """A function: pieces of a second joined, the clock of each starting at a time of its own."""

    def make(suffix: str, *starts_s: int) -> Path:
        pieces = [
            write_second(tmp_path / f"piece{index}{suffix}", start_s).read_bytes()
            for index, start_s in enumerate(starts_s)
        ]
        path = tmp_path / f"recording{suffix}"
        if suffix == ".flv":
            # The head of the file stands at its start alone
            pieces[1:] = [piece[13:] for piece in pieces[1:]]
        path.write_bytes(b"".join(pieces))
        return path

    return make


def packet_times(path: Path, kind: str) -> list[Fraction]:
    with av.open(str(path)) as file:
        stream = file.streams.best(kind)
        return [p.dts * p.time_base for p in packets_of(file, [stream]) if p.dts is not None]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "starts_s",
    [(0, 0, 0), (0, 36_000), (36_000, 0), (0, 36_000, 100), (40_000, 40_000)],
    ids=["begins again", "jumps forward", "jumps back", "jumps twice", "late and again"],
)
def test_pictures_go_on_where_the_clock_jumps(
    recording, suffix: str, starts_s: tuple[int, ...], caplog
):
    path = recording(suffix, *starts_s)
    times = [frame.time_s for frame in read_frames(path)]
    assert probe(path).num_frames == len(times) == len(starts_s) * NUM_FRAMES
    # The sound of one piece ends after its pictures
    assert all(0.039 <= float(after - before) < 0.25 for before, after in pairwise(times))
    assert 0 <= float(times[0]) < 0.15
    assert caplog.text == ""


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("starts_s", [(0, 0), (0, 36_000), (36_000, 0)])
def test_sound_is_shifted_as_the_pictures_are(recording, suffix: str, starts_s: tuple[int, ...]):
    path = recording(suffix, *starts_s)
    shifts = []
    for kind in ("video", "audio"):
        times = packet_times(path, kind)
        shifts.append(times[len(times) // 2] - times[0])
    assert float(shifts[0]) >= 1
    assert abs(shifts[0] - shifts[1]) < 2e-3


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_packet_goes_back(recording, suffix: str):
    path = recording(suffix, 5, 0, 36_000)
    for kind in ("video", "audio"):
        times = packet_times(path, kind)
        assert all(before <= after for before, after in pairwise(times))


def test_one_recording_keeps_its_steps(recording):
    path = recording(".ts", 1000)
    with av.open(str(path)) as file:
        expected = [p.dts * p.time_base for p in file.demux(video=0) if p.dts is not None]
    steps = [after - before for before, after in pairwise(expected)]
    times = packet_times(path, "video")
    assert [after - before for before, after in pairwise(times)] == steps


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_other_files_keep_their_times(tmp_path: Path, suffix: str):
    path = write_second(tmp_path / f"clip{suffix}", 8)
    with av.open(str(path)) as file:
        expected = [p.dts * p.time_base for p in file.demux(video=0) if p.dts is not None]
    assert packet_times(path, "video") == expected


def test_an_hour_without_sound_and_pictures_is_a_jump_in_matroska(tmp_path: Path):
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as file:
        video = file.add_stream("mjpeg", rate=10)
        video.height, video.width, video.pix_fmt = 48, 64, "yuvj420p"
        audio = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        for index in range(20):
            second = index if index < 10 else index + 50_000
            frame = av.VideoFrame(64, 48, "yuvj420p")
            frame.pts, frame.time_base = second, Fraction(1, 10)
            for packet in video.encode(frame):
                file.mux(packet)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
            sound.sample_rate, sound.pts, sound.time_base = 8000, 800 * second, Fraction(1, 8000)
            file.mux(audio.encode(sound))
    times = [float(frame.time_s) for frame in read_frames(path)]
    assert times == pytest.approx([index / 10 for index in range(20)])


@pytest.mark.parametrize("pause_s", [20, 4000])
@pytest.mark.parametrize("first", [15, 17], ids=["before a reference", "before reordered pictures"])
def test_a_pause_in_matroska_with_pictures_stored_out_of_order(
    tmp_path: Path, pause_s: int, first: int, caplog
):
    """Shorter than an hour it is kept, longer it is a jump; picture `first` follows it."""
    path, num_frames = tmp_path / "clip.mkv", 30
    packets = []
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=10, options={"bf": "3", "b_strategy": "0"})
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        audio = file.add_stream("aac", rate=48_000, layout="mono")
        for index in range(num_frames):
            tick = index + 10 * pause_s * (index >= first)
            image = np.full((48, 64, 3), 8 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 10)
            packets += video.encode(frame)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
            sound.sample_rate, sound.pts = 48_000, 4800 * tick
            sound.time_base = Fraction(1, 48_000)
            packets += audio.encode(sound)
        packets += [*video.encode(None), *audio.encode(None)]
        for packet in sorted(packets, key=lambda one: one.dts * one.time_base):
            file.mux(packet)
    frames = list(read_frames(path))
    assert [round(frame.image.mean() / 8) for frame in frames] == list(range(num_frames))
    kept_s = pause_s if pause_s < 3600 else 0
    expected = [index / 10 + kept_s * (index >= first) for index in range(num_frames)]
    assert [float(frame.time_s) for frame in frames] == pytest.approx(expected)
    # The sound pauses where the pictures do
    sound_s = [float(time) for time in packet_times(path, "audio")]
    steps = [after - before for before, after in pairwise(sound_s)]
    assert max(steps) == pytest.approx(kept_s or 0.0213, abs=0.03)
    assert "cannot be decoded" not in caplog.text


@pytest.mark.parametrize(("name", "num_frames"), [("jump.ts", 40), ("flvreset264.flv", 40)])
def test_real_jumps(failing, name: str, num_frames: int):
    times = [float(frame.time_s) for frame in read_frames(failing(name))]
    assert len(times) == num_frames
    assert all(0.09 < after - before < 0.2 for before, after in pairwise(times))


@pytest.mark.parametrize(
    ("encoder", "options"),
    [("libx264", {"bf": "3"}), ("libx264", {"bf": "0"}), ("mpeg4", {"bf": "2"}), ("mjpeg", {})],
)
def test_pictures_in_avi_are_not_late(tmp_path: Path, encoder: str, options: dict[str, str]):
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream(encoder, rate=10, options=options)
        stream.height, stream.width, stream.bit_rate = 48, 64, 8_000_000
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        for index in range(20):
            image = np.full((48, 64, 3), 12 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    frames = list(read_frames(path))
    assert [round(frame.image.mean() / 12) for frame in frames] == list(range(20))
    assert [frame.time_s for frame in frames] == [Fraction(index, 10) for index in range(20)]


@pytest.mark.parametrize("b_frames", [0, 2])
def test_pictures_before_time_0_keep_their_times(tmp_path: Path, b_frames: int, caplog):
    """FFmpeg gives no times below 0 of H.264 in Matroska."""
    path = before_zero(tmp_path / "in.mkv", b_frames)
    frames = list(read_frames(path))
    assert [frame.time_s for frame in frames] == [Fraction(n, 10) for n in range(-3, 7)]
    assert [round(frame.image.mean() / 20) for frame in frames] == list(range(10))
    info = probe(path)
    assert (info.num_frames, info.start_s) == (10, -0.3)
    assert caplog.text == ""
