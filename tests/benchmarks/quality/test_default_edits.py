"""The benchmark of default edits judges the edit that it makes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.quality import default_edits
from benchmarks.quality.default_edits import judge, report
from benchmarks.quality.enlarge_sizes import exact
from fairy.media.read import read_video
from fairy.settings import EditConfig
from tests.tiny import make_frames


@pytest.mark.parametrize("blurred", [False, True])
def test_the_exact_look_is_sharp_and_a_blurred_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blurred: bool
):
    def edited_exactly(source, instruction, out, config, *, pipeline, overwrite):
        images = exact(read_video(source), "negative")
        if blurred:
            images = np.stack([cv2.blur(image, (9, 9)) for image in images])
        default_edits.write_video(images, out, fps=25, overwrite=overwrite)

    monkeypatch.setattr(default_edits, "edit_video", edited_exactly)
    frames = np.kron(make_frames(3, 12, 16), np.ones((1, 4, 4, 1), np.uint8))
    grain = np.random.default_rng(0).integers(0, 80, (3, 48, 64, 1), np.uint8)
    frames = frames // 2 + grain
    row = judge(None, frames, "negative", tmp_path / "clip", EditConfig())
    assert row["size"] == "64x48"
    assert (0.8 < row["sharpness"] < 1.1) != blurred
    assert (row["psnr_db"] > 30) != blurred
    table = report([{"clip": "d03", "look": "negative", **row}])
    assert f'| d03 | 64x48 | "{default_edits.known_instruction("negative")}" |' in table
