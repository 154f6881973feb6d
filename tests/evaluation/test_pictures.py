"""fairy/evaluation/pictures.py."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from fairy.evaluation.pair import Pair
from fairy.evaluation.pictures import HIDDEN, ClipView, error_maps, view_clip
from fairy.evaluation.scores import measure
from fairy.media.read import probe, read_video
from tests.evaluation.conftest import NUM_FRAMES, make_pair


@pytest.fixture
def broken(pan) -> Pair:
    """An edit whose frame 5 is another picture."""
    edited = 1 - pan
    edited[5] = 0
    return make_pair(edited, pan, target=1 - pan)


@pytest.fixture
def view(broken, pan) -> ClipView:
    exact = make_pair(1 - pan, pan, target=1 - pan)
    edits = [("broken", broken, measure(broken)), ("exact", exact, measure(exact))]
    return view_clip("clip 1", "make it a negative", edits)


def content(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def picture(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content(uri))).convert("RGB"))


def test_versions_stand_in_the_order_of_the_video(view):
    assert [v.name for v in view.versions] == ["source", "exact target", "broken", "exact"]
    assert [v.style for v in view.versions] == [None, None, 0, 1]


def test_the_video_shows_every_version_of_every_frame(view, pan, tmp_path):
    path = tmp_path / "v.mp4"
    path.write_bytes(content(view.video))
    assert probe(path).num_frames == NUM_FRAMES
    frames = read_video(path).astype(float)
    width = frames.shape[2] / 4
    gap = view.gap_percent / 100 * frames.shape[2]
    cells = [int(width * i + width / 2) for i in range(4)]
    shown = [frames[5][:, x - 10 : x + 10].mean() for x in cells]
    assert shown[2] < 10
    assert shown[1] == pytest.approx(shown[3], abs=4)
    assert gap == pytest.approx(8)


def test_the_worst_frame_is_the_broken_one(view):
    worst = view.versions[2].worst
    assert worst is not None
    # It breaks when the frame comes, and again when it goes
    assert worst.frame in (5, 6)
    if worst.frame == 5:
        assert picture(worst.picture).max() < 10


def test_error_is_bright_where_the_frame_breaks_and_dark_elsewhere(view):
    broken, exact = (picture(view.versions[i].worst.error_map).astype(float) for i in (2, 3))
    assert broken[:, :-4].mean() > 60
    assert exact[:, :-4].mean() < 10


def test_hidden_points_are_grey_in_error_maps(view):
    heat = picture(view.versions[3].worst.error_map)
    assert np.abs(heat[:, -1].astype(int) - HIDDEN).max() < 40


def test_error_maps_are_what_warp_error_averages(broken):
    squared = error_maps(broken).square()
    assert float(squared[broken.visible].mean()) == pytest.approx(
        measure(broken).values["warp_error"], rel=1e-4
    )


def test_a_clip_with_no_motion_in_common_has_no_worst_frame(pan):
    pair = make_pair(1 - pan, pan)
    hidden = Pair(**{**pair.__dict__, "visible": torch.zeros_like(pair.visible)})
    view = view_clip("clip", "", [("mine", hidden, measure(hidden))])
    assert view.versions[1].worst is None
