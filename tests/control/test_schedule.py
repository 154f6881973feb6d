"""A schedule says from which frame on which instruction holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairy.control.schedule import Stretch, read_schedule, split_shots
from fairy.errors import SettingsError
from fairy.media.info import VideoInfo
from fairy.media.read import probe
from fairy.media.write import write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(np.zeros((20, 16, 16, 3), np.uint8), path, fps=10)
    return probe(path)


def read(clip: VideoInfo, tmp_path: Path, text: str) -> tuple[Stretch, ...]:
    (tmp_path / "s.json").write_text(text)
    return read_schedule(tmp_path / "s.json", "snow", clip)


def test_without_a_file_one_instruction_holds(clip: VideoInfo):
    assert read_schedule(None, "snow", clip) == (Stretch(0, 20, "snow"),)


def test_times_in_any_form_and_order(clip: VideoInfo, tmp_path: Path):
    text = '{"80%": "", "0.5s": {"text": "make it  night", "strength": 0.5}, "8": "fog"}'
    assert read(clip, tmp_path, text) == (
        Stretch(0, 5, "snow"),
        Stretch(5, 8, "make it night", 0.5),
        Stretch(8, 16, "fog"),
        Stretch(16, 20, ""),
    )
    assert read(clip, tmp_path, '{"0": "fog"}') == (Stretch(0, 20, "fog"),)


def test_shots_are_cut_where_an_instruction_begins():
    stretches = [Stretch(0, 5, "a"), Stretch(5, 20, "b")]
    assert split_shots([(0, 8), (8, 20)], stretches) == ((0, 5), (5, 8), (8, 20))
    assert split_shots([(0, 5), (5, 20)], stretches) == ((0, 5), (5, 20))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ("[]", "is no schedule"),
        ("{}", "is no schedule"),
        ('"snow"', "is no schedule"),
        ('["a", "b"]', "is no schedule"),
        ('{"0": 3}', "give a text"),
        ('{"0": {"text": "a", "strenght": 1}}', "give a text"),
        ('{"0": {"text": "a", "strength": 2}}', "from 0 to 1"),
        ('{"later": "a"}', "give a frame"),
        ('{"99": "a"}', "past the end"),
        ('{"120%": "a"}', "past the end"),
        ('{"100%": "a"}', "leave it out"),
        ('{"10": "a", "1s": "b"}', "both frame 10"),
        ('{"10": "a", "10": "b"}', "both frame 10"),
    ],
)
def test_what_is_no_schedule_is_refused(clip: VideoInfo, tmp_path: Path, text: str, words: str):
    with pytest.raises(SettingsError) as caught:
        read(clip, tmp_path, text)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_refused(clip: VideoInfo, tmp_path: Path):
    with pytest.raises(SettingsError, match="cannot be read"):
        read_schedule(tmp_path / "none.json", "snow", clip)
