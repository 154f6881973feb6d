"""Times as people write them, in clips of even and uneven steps."""

from __future__ import annotations

import numpy as np
import pytest

from fairy.control.times import frame_of, frames_in
from fairy.errors import SettingsError
from fairy.media.info import VideoInfo
from fairy.media.read import probe, read_frames
from fairy.media.write import write_video
from fairy.settings import EditConfig


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(np.zeros((30, 16, 16, 3), np.uint8), path, fps=10)
    return probe(path)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("0", 0),
        ("12", 12),
        ("30", 30),
        ("1s", 10),
        ("1.25s", 13),
        ("1.3 s", 13),
        (".5s", 5),
        ("2sec", 20),
        ("0:02", 20),
        ("0:01.5", 15),
        ("50%", 15),
        ("33.4%", 10),
        ("100%", 30),
        ("3s", 30),
    ],
)
def test_a_time_is_the_first_frame_at_or_after_it(clip: VideoInfo, text: str, frame: int):
    assert frame_of(text, clip, "--from") == frame


@pytest.mark.parametrize("text", ["", "soon", "4 apples", "-3", "-1s", "nan%", "1:75", "1e3"])
def test_what_is_no_time_is_refused_with_the_forms(clip: VideoInfo, text: str):
    with pytest.raises(SettingsError, match=r"--from .*give a frame \(100\), seconds"):
        frame_of(text, clip, "--from")


@pytest.mark.parametrize("text", ["31", "101%", "3.5s", "1:00", "9" * 400])
def test_a_time_past_the_end_is_refused(clip: VideoInfo, text: str):
    with pytest.raises(SettingsError, match=r"--to .* past the end of the clip, which has 30"):
        frame_of(text, clip, "--to")


@pytest.mark.parametrize(("text", "count"), [("7", 7), ("0.5s", 5), ("0", 0)])
def test_lengths_in_frames_and_seconds(clip: VideoInfo, text: str, count: int):
    assert frames_in(text, clip, "--fade") == count


@pytest.mark.parametrize("text", ["50%", "x", "-1"])
def test_what_is_no_length_is_refused(clip: VideoInfo, text: str):
    with pytest.raises(SettingsError, match=r"--fade .*give frames"):
        frames_in(text, clip, "--fade")


def test_seconds_follow_the_times_of_an_uneven_clip(clip):
    from tests.media.conftest import CLIPS

    path = CLIPS / "stress" / "desks_bad_metadata.3gp"
    if not path.exists():
        pytest.skip("the real clips are not part of the repository")
    times = [frame.time_s for frame in read_frames(path)]
    number = frame_of("2s", probe(path), "--from")
    assert times[number] - times[0] >= 1.999 > times[number - 1] - times[0]


@pytest.mark.parametrize("name", ["edit_from", "edit_to", "fade", "blend"])
def test_a_list_of_jobs_may_give_frames_as_a_number(name: str):
    beside = {"fade": {"edit_from": "1"}, "blend": {"schedule": "plan.json"}}.get(name, {})
    made = EditConfig(**{**beside, name: 12})  # type: ignore[arg-type]
    assert getattr(made, name) == "12"
