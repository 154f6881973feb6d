"""fairy/analysis/point_sheet.py: what is drawn is where the numbers say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairy.analysis.point_sheet import MARK, draw_point, mark_point


def test_ring_is_drawn_around_its_place():
    image = np.zeros((64, 96, 3), np.uint8)
    mark_point(image, (70, 20))
    rows, columns = np.nonzero(np.abs(image.astype(int) - MARK).max(2) < 12)
    assert rows.mean() == pytest.approx(20, abs=1) and columns.mean() == pytest.approx(70, abs=1)


def test_sheet_has_a_row_for_each_layer():
    frame, maps = torch.rand(3, 48, 64), torch.rand(2, 6, 8)
    drawn = {"frame_index": 0, "anchor_indices": [3, 7]}
    one = draw_point(frame, frame.expand(2, -1, -1, -1), (5, 6), {"a": maps}, **drawn)
    two = draw_point(frame, frame.expand(2, -1, -1, -1), (5, 6), {"a": maps, "b": maps}, **drawn)
    assert two.shape[0] > one.shape[0] + 256 and two.shape[1] == one.shape[1]


def test_the_glow_is_where_the_weight_is():
    frame, maps = torch.full((3, 64, 64), 0.5), torch.zeros(1, 8, 8)
    maps[0, 1, 6] = 1
    sheet = draw_point(
        frame, frame[None], (32, 32), {"a": maps}, frame_index=0, anchor_indices=[1]
    ).astype(int)
    anchor = sheet[-272:-16, -272:-16]
    yellow = (anchor[..., 0] - anchor[..., 2]) > 100
    rows, columns = np.nonzero(yellow)
    assert 256 * 1 / 8 - 16 < rows.mean() < 256 * 2 / 8 + 16
    assert 256 * 6 / 8 - 16 < columns.mean() < 256 * 7 / 8 + 16
