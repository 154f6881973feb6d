"""Sound that is encoded again, also where its format changes in the middle."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from fairy.media import VideoWriter, probe, read_frames
from tests.media.encoding.recordings import write_recording

RATE = 48_000


def copy(source: Path, out: Path) -> Path:
    info = probe(source)
    with VideoWriter(out, info=info, height=16, width=16) as writer:
        for frame in read_frames(source):
            image = np.zeros((16, 16, 3), np.uint8)
            writer.write(image, frame.pts, frame.time_base, frame.duration)
    return out


def sound_of(path: Path) -> tuple[float, set[int]]:
    """Return the seconds of sound, and its numbers of channels."""
    with av.open(str(path)) as file:
        frames = list(file.decode(audio=0))
    return sum(f.samples / f.sample_rate for f in frames), {f.layout.nb_channels for f in frames}


@pytest.mark.parametrize("suffix", [".webm", ".mkv", ".mp4"])
def test_sound_that_changes_from_2_to_6_channels(failing, tmp_path: Path, suffix: str, caplog):
    source = failing("ac3change.ts")
    seconds, channels = sound_of(source)
    assert channels == {2, 6}
    after, kinds = sound_of(copy(source, tmp_path / f"out{suffix}"))
    assert after == pytest.approx(seconds, abs=0.1)
    if suffix == ".webm":
        assert kinds == {6}
        assert "the sound changes from 2 channels, 48000 Hz to 6 channels" in caplog.text
    else:
        # Copied as it is
        assert kinds == {2, 6}


@pytest.mark.parametrize("second", [("mono", RATE), ("mono", 44_100), ("5.1", 32_000)])
def test_any_change_of_format_is_encoded_to_the_end(tmp_path: Path, second: tuple[str, int]):
    """Two pieces of a transport stream, one after the other, as recordings are joined."""
    joined = write_recording(tmp_path / "joined.ts", [("stereo", RATE), second], 25)
    seconds, channels = sound_of(copy(joined, tmp_path / "out.webm"))
    assert channels == {2}
    assert seconds >= 1.9


def test_sixteen_channels_become_eight_and_that_is_said(tmp_path: Path, caplog):
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as file:
        video = file.add_stream("ffv1", rate=10)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        sound = file.add_stream("pcm_s16le", rate=RATE, layout="hexadecagonal")
        for index in range(5):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = index
            file.mux(video.encode(frame))
            samples = np.full((1, 16 * RATE // 10), 1000, np.int16)
            part = av.AudioFrame.from_ndarray(samples, format="s16", layout="hexadecagonal")
            part.sample_rate, part.pts = RATE, index * RATE // 10
            file.mux(sound.encode(part))
        file.mux(video.encode(None))
        file.mux(sound.encode(None))
    assert sound_of(copy(source, tmp_path / "out.webm"))[1] == {8}
    assert "16 channels of sound become 8" in caplog.text


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_track_without_sound_costs_no_result(tmp_path: Path, suffix: str):
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as file:
        video = file.add_stream("ffv1", rate=10)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        file.add_stream("libopus", rate=RATE, layout="stereo")
        file.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
        file.mux(video.encode(None))
    assert probe(copy(source, tmp_path / f"out{suffix}")).num_frames == 1
