from itertools import pairwise

import av
import numpy as np
import pytest

from fairy.media import probe, read_frames
from fairy.media.decoding.clock import packets_of

NUM_FRAMES = 25


@pytest.fixture
def recording(tmp_path):
    """A function: one second of pictures and a little more of sound, `times` times in a row."""

    def make(suffix, times):
        one = tmp_path / f"one{suffix}"
        with av.open(str(one), "w", format="vob" if suffix == ".vob" else "mpegts") as file:
            video = file.add_stream("mpeg2video", rate=25)
            video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
            audio = file.add_stream("mp2", rate=48_000, layout="stereo")
            for index in range(NUM_FRAMES):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * index, np.uint8))
                frame.pts = index
                file.mux(video.encode(frame))
                silence = np.zeros((1, 2 * 2000), np.int16)
                sound = av.AudioFrame.from_ndarray(silence, format="s16", layout="stereo")
                sound.sample_rate = 48_000
                file.mux(audio.encode(sound))
            file.mux(video.encode(None))
            file.mux(audio.encode(None))
        path = tmp_path / f"recording{suffix}"
        path.write_bytes(one.read_bytes() * times)
        return path

    return make


def packet_times(path, kind):
    with av.open(str(path)) as file:
        stream = file.streams.best(kind)
        return [p.dts * p.time_base for p in packets_of(file, [stream]) if p.dts is not None]


@pytest.mark.parametrize("suffix", [".ts", ".vob"])
def test_pictures_go_on_where_the_clock_begins_anew(recording, suffix, caplog):
    path = recording(suffix, 3)
    times = [frame.time_s for frame in read_frames(path)]
    assert probe(path).num_frames == len(times) == 3 * NUM_FRAMES
    # The sound of one recording ends after its pictures
    assert all(0.04 <= float(after - before) < 0.2 for before, after in pairwise(times))
    assert float(times[-1] - times[0]) < 3.5
    assert caplog.text == ""


@pytest.mark.parametrize("suffix", [".ts", ".vob"])
def test_sound_is_shifted_as_the_pictures_are(recording, suffix):
    path = recording(suffix, 2)
    shifts = []
    for kind in ("video", "audio"):
        times = packet_times(path, kind)
        shifts.append(times[len(times) // 2] - times[0])
    assert float(shifts[0]) >= 1
    assert abs(shifts[0] - shifts[1]) < 1e-3


def test_one_recording_keeps_its_times(recording):
    path = recording(".ts", 1)
    with av.open(str(path)) as file:
        expected = [p.dts * p.time_base for p in file.demux(video=0) if p.dts is not None]
    assert packet_times(path, "video") == expected
