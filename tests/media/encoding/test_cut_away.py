"""What an edit list cuts away, as in `ffmpeg -ss 1 -c copy`, is neither seen nor heard again."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fairy.media import read_frames
from tests.media.copying import copy

RATE = 48_000
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
# The cut lies within a packet of every codec
CUT_S = Fraction(1013, 1000)
CLICKS_S = (1.5, 1.9)


def write_whole(path: Path, audio_codec: str, video_codec: str) -> Path:
    """Write two seconds: white pictures and noise before `CUT_S`, then black and two clicks."""
    sound = np.zeros((1, 2 * RATE), np.float32)
    sound[0, : round(CUT_S * RATE) - RATE // 50] = np.random.default_rng(0).uniform(-1, 1, 47_664)
    for time_s in CLICKS_S:
        sound[0, round(time_s * RATE) :][: RATE // 500] = 0.9
    with av.open(str(path), "w") as file:
        video = file.add_stream(video_codec, rate=25, options={"g": "60", "bf": "2"})
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        stream = file.add_stream(audio_codec, rate=RATE, layout="mono")
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=RATE)
        for index in range(50):
            level = 235 if index < 25 else 20
            image = np.full((48, 64, 3), level, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            file.mux(video.encode(frame))
            samples = np.ascontiguousarray(sound[:, index * RATE // 25 : (index + 1) * RATE // 25])
            part = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            part.sample_rate, part.pts = RATE, index * RATE // 25
            for ready in resampler.resample(part):
                file.mux(stream.encode(ready))
        file.mux(video.encode(None))
        file.mux(stream.encode(None))
    return path


@pytest.fixture
def trimmed(tmp_path: Path) -> Callable[..., Path]:
    """A function: a clip of two seconds whose edit list cuts away the first."""

    def make(audio_codec: str = "aac", video_codec: str = "libx264") -> Path:
        # MOV holds no Opus
        suffix = ".mp4" if audio_codec == "libopus" else ".mov"
        whole = write_whole(tmp_path / f"whole{suffix}", audio_codec, video_codec)
        path = tmp_path / f"trimmed{suffix}"
        with av.open(str(whole)) as source, av.open(str(path), "w") as file:
            copies = [file.add_stream_from_template(stream) for stream in source.streams]
            for packet in source.demux():
                if packet.size:
                    shift = round(CUT_S / packet.time_base)
                    packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                    packet.stream = copies[packet.stream_index]
                    file.mux(packet)
        return path

    return make


def loud_times(path: Path) -> list[float]:
    """Return in which hundredths of a second there is sound, decoded as players do."""
    loud: set[float] = set()
    with av.open(str(path)) as file:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
        for frame in file.decode(audio=0):
            for part in resampler.resample(frame):
                found = np.flatnonzero(np.abs(part.to_ndarray()[0]) > 0.2)
                loud |= {round(float(part.time) + at / RATE, 2) for at in found}
    return sorted(loud)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("codec", ["aac", "alac", "libmp3lame", "libopus", "pcm_s16le"])
def test_sound_that_is_cut_away_is_not_heard(trimmed, tmp_path: Path, codec: str, suffix: str):
    out = copy(trimmed(codec), tmp_path / f"out{suffix}")
    times = loud_times(out)
    clicks = [time - float(CUT_S) for time in CLICKS_S]
    assert all(min(abs(time - click) for click in clicks) < 0.02 for time in times)
    assert all(min(abs(time - click) for time in times) < 0.02 for click in clicks)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_packets_that_are_cut_away_are_not_in_the_file(trimmed, tmp_path: Path, suffix: str):
    out = copy(trimmed("aac"), tmp_path / f"out{suffix}")
    with av.open(str(out)) as file:
        times = [float(p.pts * p.time_base) for p in file.demux(audio=0) if p.size]
    # A decoder needs two packets before the first
    assert times[0] > -0.1


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_pictures_that_are_cut_away_are_not_seen(trimmed, tmp_path: Path, codec: str, suffix: str):
    source = trimmed(video_codec=codec)
    out = copy(source, tmp_path / f"out{suffix}")
    frames = list(read_frames(out))
    # The first black one begins before the cut
    assert len(frames) == 24
    assert max(frame.image.mean() for frame in frames) < 40


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pictures_are_not_late(trimmed, tmp_path: Path, suffix: str):
    source = trimmed()
    out = copy(source, tmp_path / f"out{suffix}")
    before, after = ([float(frame.time_s) for frame in read_frames(p)] for p in (source, out))
    assert np.allclose(before, after, atol=1e-3)


def test_what_is_lost_with_the_packet_that_is_cut_in_two_is_said(trimmed, tmp_path: Path, caplog):
    copy(trimmed("aac"), tmp_path / "out.mkv")
    assert "ms of sound are left out: matroska cannot hide a part of a packet" in caplog.text


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_real_clip_cut_without_encoding(failing, tmp_path: Path, suffix: str):
    out = copy(failing("trim.mp4"), tmp_path / f"out{suffix}")
    with av.open(str(out)) as file:
        sound = [float(p.pts * p.time_base) for p in file.demux(audio=0) if p.size]
    assert min(frame.time_s for frame in read_frames(out)) == 0
    assert sound[0] > -0.1
