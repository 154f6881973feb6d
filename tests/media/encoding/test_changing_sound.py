"""Sound whose rate changes in the middle is not copied under its first header: it is encoded."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.copying import copy

TONE_HZ = 440


def write_piece(path: Path, rate: int) -> bytes:
    """Return a second of pictures with a tone."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("flv1" if path.suffix == ".flv" else "mpeg2video", rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        sound = file.add_stream("aac", rate=rate, layout="mono")
        for index in range(25):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = index
            file.mux(video.encode(frame))
        for start in range(0, rate, 1024):
            times = (start + np.arange(1024)) / rate
            tone = (0.5 * np.sin(2 * np.pi * TONE_HZ * times)).astype(np.float32)
            part = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            part.sample_rate, part.pts = rate, start
            file.mux(sound.encode(part))
        file.mux(video.encode(None))
        file.mux(sound.encode(None))
    return path.read_bytes()


@pytest.fixture
def recording(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    suffix, rates = request.param
    pieces = [write_piece(tmp_path / f"{rate}{suffix}", rate) for rate in rates]
    if suffix == ".flv":
        # The head of the file is at its start alone
        pieces[1:] = [piece[13:] for piece in pieces[1:]]
    path = tmp_path / f"joined{suffix}"
    path.write_bytes(b"".join(pieces))
    return path


def tone_of(path: Path) -> tuple[float, list[float]]:
    """Return the seconds of sound, and the pitch in Hz in the middle of each second."""
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
    rate, samples = frames[0].sample_rate, np.concatenate([one.to_ndarray()[0] for one in frames])
    assert {one.sample_rate for one in frames} == {rate}
    last = frames[-1]
    parts = [samples[int(start * rate) : int((start + 0.5) * rate)] for start in (0.25, 1.25)]
    pitch = [np.abs(np.fft.rfft(part)).argmax() * rate / len(part) for part in parts]
    return float(last.pts * last.time_base) + last.samples / rate, pitch


CHANGES = [(".ts", (44_100, 48_000)), (".flv", (44_100, 22_050)), (".ts", (48_000, 24_000))]


@pytest.mark.parametrize("recording", CHANGES, indirect=True, ids=["ts", "flv", "half"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_tone_keeps_its_pitch(recording: Path, tmp_path: Path, suffix: str, caplog):
    seconds, pitch = tone_of(copy(recording, tmp_path / f"out{suffix}"))
    assert seconds == pytest.approx(2.05, abs=0.15)
    assert pitch == pytest.approx([TONE_HZ, TONE_HZ], abs=4)
    assert "the sound changes from 1 channels" in caplog.text


SAME = [(suffix, (44_100, 44_100)) for suffix in (".ts", ".flv")]


@pytest.mark.parametrize("recording", SAME, indirect=True, ids=["ts", "flv"])
def test_sound_that_does_not_change_is_copied(recording: Path, tmp_path: Path, caplog):
    copy(recording, tmp_path / "out.mp4")
    assert "transcoded" not in caplog.text


@pytest.mark.parametrize("rates", [(48_000,), (48_000, 48_000), (48_000, 44_100)])
def test_flac_is_copied_unless_its_rate_changes(tmp_path: Path, rates: tuple[int, ...], caplog):
    """Its packets begin like those of AAC with a header of its own."""
    path = tmp_path / "in.nut"
    with av.open(str(path), "w") as file:
        video = file.add_stream("ffv1", rate=10)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        sound = file.add_stream("flac", rate=rates[0], layout="mono")
        packets = [*video.encode(av.VideoFrame(64, 48, "yuv420p")), *video.encode(None)]
        for number, rate in enumerate(rates):
            encoder = av.CodecContext.create("flac", "w")
            encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "s16"
            encoder.time_base = Fraction(1, rate)
            part = av.AudioFrame.from_ndarray(np.zeros((1, 5000), np.int16), layout="mono")
            part.sample_rate, part.pts, part.time_base = rate, 0, encoder.time_base
            for packet in [*encoder.encode(part), *encoder.encode(None)]:
                packet.stream = sound
                packet.pts = packet.dts = (packet.pts or 0) + number * 10_000
                packets.append(packet)
        for packet in packets:
            file.mux(packet)
    copy(path, tmp_path / "out.mkv")
    assert ("cannot hold a change of flac" in caplog.text) == (len(set(rates)) > 1)
