"""A stretch of a clip: its frames, its sound, its chapters, from time 0 on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fairy.errors import SettingsError
from fairy.media import probe, read_frames
from fairy.media.read import read_frame_at, read_video
from fairy.media.shots import find_shots
from fairy.media.stretch import chosen
from fairy.media.write import write_video
from fairy.settings import EditConfig, MediaConfig
from tests.media.copying import copy
from tests.tiny import make_frames

RATE = 48_000
CLICKS_S = (0.5, 1.5)
PART = MediaConfig(start_s=1.0, end_s=1.8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two seconds at 25 frames/s; frame n has the level 4n, and clicks sound at CLICKS_S."""
    path = tmp_path / "clip.mp4"
    sound = np.zeros((1, 2 * RATE), np.float32)
    for time_s in CLICKS_S:
        sound[0, round(time_s * RATE) :][: RATE // 500] = 0.9
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=25, options={"g": "10"})
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        stream = file.add_stream("aac", rate=RATE, layout="mono")
        for index in range(50):
            image = np.full((48, 64, 3), 4 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            file.mux(video.encode(frame))
            samples = np.ascontiguousarray(sound[:, index * RATE // 25 : (index + 1) * RATE // 25])
            part = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            part.sample_rate, part.pts = RATE, index * RATE // 25
            file.mux(stream.encode(part))
        file.mux(video.encode(None))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("settings", "numbers"),
    [
        ({}, range(10)),
        ({"start_s": 0.2}, range(2, 10)),
        ({"end_s": 0.45}, range(5)),
        ({"start_s": 0.15, "end_s": 0.4}, range(2, 4)),
        ({"max_frames": 3}, range(3)),
        ({"start_s": 0.5, "max_frames": 100}, range(5, 10)),
    ],
)
def test_frames_are_chosen_by_the_time_they_are_shown(settings: dict[str, float], numbers: range):
    times = [(7 + number, 1) for number in range(10)]
    assert chosen(times, Fraction(1, 10), MediaConfig(**settings)) == numbers


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"start_s": 3}, "start_s is 3: the clip lasts 1.00 s"),
        ({"start_s": 0.5, "end_s": 0.2}, "end_s is 0.2: no frame is shown between 0.5 and 0.2"),
    ],
)
def test_a_stretch_without_frames_is_refused(settings: dict[str, float], words: str):
    times = [(number, 1) for number in range(10)]
    with pytest.raises(SettingsError, match=words):
        chosen(times, Fraction(1, 10), MediaConfig(**settings))


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90", 90.0), ("1:30", 90.0), ("0:01:30.5", 90.5), (7, 7.0)]
)
def test_times_may_be_typed_as_clocks_show_them(typed: object, seconds: float):
    assert EditConfig(start_s=typed).start_s == seconds


@pytest.mark.parametrize("typed", ["1:xx", "-3", "soon"])
def test_what_is_no_time_is_refused(typed: str):
    with pytest.raises(SettingsError, match="start_s is"):
        EditConfig(start_s=typed)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_the_result_holds_the_stretch_and_its_sound_in_step(source: Path, suffix: str):
    out = copy(source, source.with_name(f"out{suffix}"), PART)
    info = probe(out)
    assert info.num_frames == 20
    assert float(info.duration_s) == pytest.approx(0.8, abs=0.002)
    levels = [int(frame.image.mean().round()) for frame in read_frames(out)]
    assert levels == pytest.approx([4 * number for number in range(25, 45)], abs=3)
    with av.open(str(out)) as file:
        loud = [
            float(frame.time) + np.abs(frame.to_ndarray()).max(0).argmax() / frame.sample_rate
            for frame in file.decode(audio=0)
            if np.abs(frame.to_ndarray()).max() > 0.2
        ]
    assert loud[0] == pytest.approx(CLICKS_S[1] - 1.0, abs=0.01)
    assert max(loud) - min(loud) < 0.05


def test_frames_are_those_of_the_whole_clip(source: Path):
    whole = read_video(source)
    part = np.stack([frame.image for frame in read_frames(source, PART)])
    assert np.array_equal(part, whole[25:45])
    (one,) = read_frame_at(source, [19], PART)
    assert np.array_equal(one.image, whole[44])
    assert one.time_s == Fraction(19, 25)


def test_a_folder_of_pictures_has_stretches_too(tmp_path: Path):
    frames = make_frames(8)
    write_video(frames, tmp_path / "pictures")
    media = MediaConfig(start_s=0.08, max_frames=3)
    assert probe(tmp_path / "pictures", media).num_frames == 3
    part = [frame.image for frame in read_frames(tmp_path / "pictures", media)]
    assert np.array_equal(np.stack(part), frames[2:5])


def test_cuts_are_numbered_within_the_stretch(tmp_path: Path):
    first, second = make_frames(1, 48, 64, seed=1), make_frames(1, 48, 64, seed=2)
    frames = np.concatenate([np.repeat(first, 20, 0), np.repeat(second, 20, 0)])
    write_video(frames, tmp_path / "clip.mp4", fps=10)
    assert find_shots(tmp_path / "clip.mp4", MediaConfig(start_s=1)) == ((0, 10), (10, 30))
