"""Reading and writing need no torch, and give the same with every version of PyAV.

Versions other than the one installed are tried where their Pythons are named:

    FAIRY_PYTHONS="/venvs/av16/bin/python /venvs/av17/bin/python" pytest tests/media/test_compat.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fairy.media import compat
from fairy.media.colours import BT709, default_colours, from_rgb

ROOT = Path(__file__).parents[2]
NAMES = ["d07_road_mjpeg.avi", "stress/paper_rot90.mp4", "stress/water_vp8.webm",
         "stress/desks_bad_metadata.3gp", "stress/bt601_full.mp4"]  # fmt: skip


def round_trip(python: str, paths: list[Path]) -> list[dict[str, Any]]:
    command = [python, str(ROOT / "tests" / "media" / "round_trip.py"), *map(str, paths)]
    result = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_reading_and_writing_need_no_torch(clip: Callable[[str], Path]):
    results = round_trip(sys.executable, [clip(name) for name in NAMES])
    assert [result["is_close"] for result in results] == [True] * len(NAMES)


@pytest.mark.parametrize("python", os.environ.get("FAIRY_PYTHONS", "").split())
def test_other_versions_give_the_same(clip: Callable[[str], Path], python: str):
    paths = [clip(name) for name in NAMES]
    theirs, ours = round_trip(python, paths), round_trip(sys.executable, paths)
    for one, other in zip(theirs, ours, strict=True):
        levels = np.array(one.pop("levels")), np.array(other.pop("levels"))
        assert np.abs(levels[0] - levels[1]).max() <= 1
        assert one == other


def test_colours_of_frames_are_kept_where_frames_have_none(monkeypatch: pytest.MonkeyPatch, scene):
    monkeypatch.setattr(compat, "_FRAMES_HAVE_COLOURS", False)
    decoder = av.CodecContext.create("h264", "r")
    decoder.color_primaries, decoder.color_trc = 9, 16
    frame = av.VideoFrame(16, 16, "yuv420p")
    assert compat.primaries_and_transfer(frame) == (2, 2)
    compat.keep_colours(frame, decoder)
    assert compat.primaries_and_transfer(frame) == (9, 16)
    coded = from_rgb(scene, default_colours(720), "yuv420p")
    assert compat.primaries_and_transfer(coded) == (BT709, BT709)


def test_a_pyav_that_does_not_know_the_argument_opens_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def without(url: str, *, options: dict[str, str]) -> str:
        return url

    monkeypatch.setattr(av, "open", without)
    assert compat.open_input("file:clip.mp4", {}) == "file:clip.mp4"
