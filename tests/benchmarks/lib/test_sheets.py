"""benchmarks/lib/sheets.py."""

from __future__ import annotations

import torch
from PIL import Image

from benchmarks.lib.sheets import shown_frames, write_sheet


def test_shown_frames_are_spread_from_the_first_to_the_last():
    video = torch.arange(9.0)[:, None, None, None].expand(-1, 3, 2, 2)
    assert shown_frames(video, 3)[:, 0, 0, 0].tolist() == [0, 4, 8]
    assert shown_frames(video, None) is video


def test_sheet_has_a_row_for_each_video_and_a_column_for_each_shown_frame(tmp_path):
    video = torch.rand(6, 3, 32, 48)
    write_sheet(tmp_path / "new" / "one.png", {"source": video}, 2)
    write_sheet(tmp_path / "new" / "two.png", {"source": video, "edit": video}, 4)
    (width, height), (wider, higher) = (
        Image.open(tmp_path / "new" / name).size for name in ("one.png", "two.png")
    )
    assert wider >= width + 2 * 48 and higher >= height + 32
