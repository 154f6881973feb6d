"""fairy/analysis/tracking.py: trackers whose accuracy is known, and one real run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fairy.analysis import tracking
from fairy.analysis.attention_maps import PointAttention, tokens_of
from fairy.analysis.point_tracks import TrackedClip, follow_flow, grid_points
from fairy.analysis.tracking import THRESHOLDS_PX, Hits, TrackingAccuracy, tracking_accuracy
from fairy.anchors.attention import self_attention_layers
from fairy.anchors.selection import select_anchor_indices
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import SettingsError
from fairy.models.defaults import ModelDefaults
from fairy.synthetic.moving_scenes import Clip
from tests.tiny import make_tiny_pipeline

SIZE = (64, 80)
GRID = (16, 20)


@pytest.fixture(scope="module")
def tracked(rendered: Clip) -> TrackedClip:
    points, visible = follow_flow(rendered.flow, rendered.visible, grid_points(*SIZE, 8))
    return TrackedClip("rendered", rendered.frames, points, visible)


@pytest.fixture
def accuracy_of(tracked, monkeypatch) -> Callable[[Callable[[int, int], Tensor]], TrackingAccuracy]:
    """Measure a tracker given as (frame, anchor) -> where it puts all points of the clip (P,2)."""

    def measure(tracker: Callable[[int, int], Tensor]) -> TrackingAccuracy:
        def attend(pipe, frames, queries, see, *, anchor_indices, **settings):
            for frame, asked in queries.items():
                maps = torch.zeros(len(asked), len(anchor_indices), GRID[0] * GRID[1])
                index = [(tracked.points[frame] == p).all(1).nonzero()[0, 0] for p in asked]
                for place, anchor in enumerate(anchor_indices):
                    found = tokens_of(tracker(frame, anchor)[torch.stack(index)], GRID, SIZE)
                    maps[torch.arange(len(asked)), place, found] = 1
                see(PointAttention(frame, 0, "layer", maps.unflatten(2, GRID)))

        monkeypatch.setattr(tracking, "attend_from_points", attend)
        return tracking_accuracy(None, [tracked])

    return measure


def test_perfect_tracker_reaches_its_grids_limit(tracked, accuracy_of):
    (layer,) = accuracy_of(lambda frame, anchor: tracked.points[anchor]).layers
    assert layer.within == layer.limit
    assert layer.within[32] == 1 and layer.within[4] < 1


def test_tracker_that_never_moves_is_about_standing_still(tracked, accuracy_of):
    accuracy = accuracy_of(lambda frame, anchor: tracked.points[frame])
    (layer,) = accuracy.layers
    for px in (16, 32):
        assert layer.within[px] == pytest.approx(accuracy.standing_still[px], abs=0.1)


def test_lost_tracker_finds_little(tracked, accuracy_of):
    (layer,) = accuracy_of(lambda frame, anchor: torch.zeros(80, 2)).layers
    assert layer.within[32] < 0.1


def test_only_points_seen_in_frame_and_anchor_count(tracked, accuracy_of):
    anchors = select_anchor_indices(10, 3)
    others = [frame for frame in range(10) if frame not in anchors]
    expected = sum(
        int((tracked.visible[frame] & tracked.visible[anchor]).sum())
        for frame in others
        for anchor in anchors
    )
    accuracy = accuracy_of(lambda frame, anchor: tracked.points[anchor])
    assert accuracy.num_points == expected


def test_distance_is_counted_on_frames_of_256():
    hits = Hits()
    # 1 px of 64 rows is 4 px of 256, 1 px of 128 columns 2 px: below 4, and not
    hits.add(torch.tensor([[0.0, 0.9], [0.0, 1.0], [1.9, 0.0]]), torch.zeros(3, 2), (64, 128))
    assert hits.shares[4] == pytest.approx(2 / 3)
    assert hits.shares[8] == 1


def test_real_model_is_measured_in_every_layer_and_step(tracked):
    pipe = FairyPipeline.from_pipe(make_tiny_pipeline())
    pipe.defaults = ModelDefaults(size=32, num_inference_steps=2)
    accuracy = tracking_accuracy(pipe, [tracked.thinned(4)], num_anchors=1)
    assert len(accuracy.layers) == 2 * len(self_attention_layers(pipe.unet))
    for layer in accuracy.layers:
        shares = [layer.within[px] for px in THRESHOLDS_PX]
        assert shares == sorted(shares)


def test_clip_without_seen_points_is_refused(tracked):
    blind = TrackedClip("blind", tracked.frames, tracked.points, torch.zeros_like(tracked.visible))
    with pytest.raises(SettingsError, match="nothing can be tracked"):
        tracking_accuracy(None, [blind])
