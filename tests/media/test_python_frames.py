"""Frames that Python callers hold become arrays, or are refused in one line."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fairy.media.python_frames import frame_rate, picture, pictures, to_uint8
from fairy.media.read import probe, read_video
from fairy.media.write import write_video
from tests.tiny import make_frames

FRAMES = make_frames(3)
FLOATS = torch.from_numpy(FRAMES).permute(0, 3, 1, 2) / 255
FORMS = {
    "arrays": FRAMES,
    "PIL": [Image.fromarray(frame) for frame in FRAMES],
    "tensor": FLOATS,
    "half": FLOATS.half(),
    "tensors": list(FLOATS),
    "floats": FRAMES / 255,
    "stream": iter(FRAMES),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_the_pipeline_returns_can_be_written(tmp_path: Path, form: str):
    write_video(FORMS[form], tmp_path / "out", fps=29.97)
    assert np.array_equal(read_video(tmp_path / "out"), FRAMES)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (25, Fraction(25)),
        (29.97, Fraction(30000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (29.9, Fraction(299, 10)),
        (24000 / 1001, Fraction(24000, 1001)),
        (np.float64(12.5), Fraction(25, 2)),
        (Fraction(90001, 3000), Fraction(90001, 3000)),
    ],
)
def test_rates_are_fractions(fps: object, rate: Fraction):
    assert frame_rate(fps) == rate


@pytest.mark.parametrize("fps", [0, -1.0, float("nan"), float("inf"), None, "fast"])
def test_what_is_no_rate_is_refused(tmp_path: Path, fps: object):
    with pytest.raises(ValueError, match="fps is"):
        write_video(FRAMES, tmp_path / "a.mp4", fps=fps)  # type: ignore[arg-type]
    assert not (tmp_path / "a.mp4").exists()


def test_a_float_rate_is_the_files(tmp_path: Path):
    write_video(FRAMES, tmp_path / "a.mp4", fps=29.97)
    assert probe(tmp_path / "a.mp4").fps == Fraction(30000, 1001)


@pytest.mark.parametrize(
    "frame", [FRAMES[0].astype(int), FRAMES[0][..., 0], FLOATS[0].byte(), "a.png", None]
)
def test_other_forms_are_refused(frame: object):
    with pytest.raises(ValueError, match=r"frame 0 is .*: pass uint8 \(T,H,W,3\)"):
        picture(frame)


def test_values_of_another_scale_are_refused():
    with pytest.raises(ValueError, match=r"frame 0 has values from -1 to 0\.98"):
        picture(np.linspace(-1, 0.98, 48, dtype=np.float32).reshape(4, 4, 3))
    assert to_uint8(picture(np.full((2, 2, 3), 1.04))).max() == 255


def test_one_picture_is_a_clip_of_one():
    (shown,) = pictures(Image.fromarray(FRAMES[0]))
    assert np.array_equal(shown, FRAMES[0])
