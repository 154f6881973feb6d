"""`fairy info` says in words what the reader found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fairy.errors import MediaError
from fairy.jobs.info import describe_clip
from fairy.media.write import write_video
from tests.tiny import make_frames


def test_rows_hold_counts_size_and_rate(tmp_path: Path):
    write_video(make_frames(5, 48, 64), tmp_path / "clip.mp4", fps=10)
    rows = dict(describe_clip(tmp_path / "clip.mp4"))
    assert rows["frames"] == "5"
    assert rows["size"] == "64x48 shown"
    assert rows["rate"] == "10.000 frames/s on average (10)"
    assert rows["audio"] == "none"


def test_a_turned_clip_shows_both_sizes(clip: Callable[[str], Path]):
    rows = dict(describe_clip(clip("stress/paper_rot90.mp4")))
    assert rows["size"] == "288x352 shown (stored 352x288, rotation 90 degrees)"
    assert rows["audio"] == "aac, 48000 Hz, 1 channels"


def test_a_mirrored_clip_says_so(clip: Callable[[str], Path]):
    rows = dict(describe_clip(clip("stress/rotate_and_reflect.mp4")))
    assert rows["size"] == "720x1080 shown (stored 1080x720, mirrored, rotation 90 degrees)"


def test_several_video_streams_are_numbered(clip: Callable[[str], Path]):
    rows = dict(describe_clip(clip("stress/nasa_2video_2audio.mp4")))
    assert rows["codec"].endswith("(stream 3 of 0, 3)")


def test_a_missing_clip_is_the_users_error(tmp_path: Path):
    with pytest.raises(MediaError, match="no such file"):
        describe_clip(tmp_path / "gone.mp4")


def test_what_is_wrong_with_a_stream_is_a_note(clip: Callable[[str], Path]):
    rows = dict(describe_clip(clip("stress/missing_stsd.mp4")))
    assert rows["note"] == "audio stream 1 has no codec"
