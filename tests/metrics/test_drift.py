"""fairy/metrics/drift.py: how far a look strays from the anchors'."""

from __future__ import annotations

import pytest
import torch

from fairy.metrics.drift import drift


def test_still_clip_does_not_drift(still):
    assert drift(still, [3]).abs().amax() == 0


def test_anchors_do_not_drift(rendered):
    assert drift(rendered.frames, [1, 5, 8])[[1, 5, 8]].tolist() == [0, 0, 0]


def test_brightness_off_by_a_tenth_gives_a_tenth(still):
    frames = 0.5 * still + torch.linspace(0, 0.1, 12)[:, None, None, None]
    assert drift(frames, [0])[-1] == pytest.approx(0.1, rel=1e-3)


def test_drift_grows_with_a_slow_change(still):
    frames = 0.5 * still + torch.linspace(0, 0.3, 12)[:, None, None, None]
    steps = drift(frames, [0]).diff()
    assert (steps > 0).all()


def test_nearest_anchor_counts(still):
    frames = torch.cat([still[:6] * 0.5, still[6:] * 0.5 + 0.3])
    assert drift(frames, [0])[8] > 0.2
    assert drift(frames, [0, 6])[8] == 0


def test_lost_texture_is_drift_where_colours_stay(still):
    # The same values, sorted: the colours' distribution is equal, the edges are gone
    smooth = still[:1].flatten(2).sort(-1).values.view_as(still[:1])
    frames = torch.cat([still[:1], smooth])
    assert drift(frames, [0])[1] > 0.005


def test_mirroring_is_no_drift(still):
    frames = torch.cat([still[:1], still[:1].flip(3)])
    assert drift(frames, [0])[1] < 0.005


@pytest.mark.parametrize("anchors", [[], [12], [-1]])
def test_anchors_outside_the_clip_are_refused(still, anchors):
    with pytest.raises(ValueError, match="each from 0 to 11"):
        drift(still, anchors)
