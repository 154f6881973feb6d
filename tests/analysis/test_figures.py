"""fairy/analysis/figures.py: what is drawn lies where the numbers say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairy.analysis.figures import (
    FOUND,
    MARK,
    PANEL,
    by_layer,
    draw_accuracy,
    draw_point,
    mark_point,
)
from fairy.analysis.tracking import THRESHOLDS_PX, LayerAccuracy, TrackingAccuracy


def layer(name: str, step: int, share: float) -> LayerAccuracy:
    shares = dict.fromkeys(THRESHOLDS_PX, share)
    return LayerAccuracy(name, step, (4, 4), shares, dict.fromkeys(THRESHOLDS_PX, 0.9))


def accuracy(share: float) -> TrackingAccuracy:
    layers = [layer(name, step, share) for step in (0, 1) for name in ("first", "last")]
    return TrackingAccuracy(layers, dict.fromkeys(THRESHOLDS_PX, 0.3), 10)


def rows_of(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return the rows above the legend in which a colour is found."""
    near = (np.abs(image[:-40].astype(int) - colour).max(2) < 12).any(1)
    return np.flatnonzero(near)


def test_curve_rises_with_accuracy():
    low, high = (rows_of(draw_accuracy(accuracy(s), "title"), FOUND).mean() for s in (0.1, 0.6))
    assert low - high == pytest.approx(0.5 * PANEL[1], abs=2)


def test_layers_are_means_over_their_steps():
    layers = [layer("a", 0, 0.2), layer("b", 0, 0.5), layer("a", 1, 0.4), layer("b", 1, 0.5)]
    (first, _), (second, _) = by_layer(TrackingAccuracy(layers, {}, 1))
    assert first[8] == pytest.approx(0.3) and second[8] == pytest.approx(0.5)


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


def test_glow_lies_where_the_weight_is():
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
