"""analysis/point_tracks.py: points follow exact motion; TAP-Vid files are read, others refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fairy.analysis.point_tracks import TrackedClip, follow_flow, grid_points, read_at, read_tapvid
from fairy.errors import MediaError
from fairy.synthetic.moving_scenes import Clip


def test_shift_is_followed():
    flow = torch.tensor([2.0, -1.0])[None, :, None, None].expand(3, 2, 16, 16)
    points, visible = follow_flow(flow, torch.ones(3, 16, 16, dtype=bool), torch.tensor([[4, 8]]))
    assert points[:, 0].tolist() == [[4, 8], [6, 7], [8, 6], [10, 5]]
    assert visible.all()


def test_rotation_is_followed_exactly():
    """Bilinear reading is exact for affine flow: no error adds up between pixels."""
    angle, centre = torch.tensor(0.1), torch.tensor([16.0, 16.0])
    turn = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]
    )
    grid = torch.stack(torch.meshgrid(torch.arange(33.0), torch.arange(33.0), indexing="xy"), -1)
    flow = ((grid - centre) @ turn.T + centre - grid).permute(2, 0, 1).expand(8, 2, 33, 33)
    points, _ = follow_flow(flow, torch.ones(8, 33, 33, dtype=bool), torch.tensor([[22, 14]]))
    expected = torch.linalg.matrix_power(turn, 8) @ torch.tensor([6.0, -2.0]) + centre
    assert torch.allclose(points[-1, 0], expected, atol=1e-3)


def test_lost_point_stays_lost():
    visible = torch.ones(3, 8, 8, dtype=bool)
    visible[1] = False
    _, seen = follow_flow(torch.zeros(3, 2, 8, 8), visible, torch.tensor([[3, 3]]))
    assert seen[:, 0].tolist() == [True, True, False, False]


def test_followed_points_keep_their_colour(rendered: Clip):
    points, visible = follow_flow(rendered.flow, rendered.visible, grid_points(64, 80, 4))
    first = read_at(rendered.frames[0], points[0])
    last = read_at(rendered.frames[-1], points[-1])
    both = visible[-1]
    assert 20 < both.sum() < len(both)
    moved = (last - first)[both].abs().mean()
    stayed = (read_at(rendered.frames[-1], points[0]) - first)[both].abs().mean()
    assert moved < 0.35 * stayed


def test_grid_points_are_pixels_inside():
    points = grid_points(20, 30, 8)
    assert points.amin() == 4 and points[:, 0].amax() == 28 and points[:, 1].amax() == 12
    assert len(points) == 4 * 2


def test_thinned_clip_keeps_first_and_last():
    clip = TrackedClip(
        "c", torch.arange(9.0)[:, None, None, None].expand(9, 3, 2, 2),
        torch.zeros(9, 1, 2), torch.ones(9, 1, dtype=bool),
    )  # fmt: skip
    assert clip.thinned(3).frames[:, 0, 0, 0].tolist() == [0, 4, 8]
    assert clip.thinned(20) is clip


@pytest.fixture
def entry() -> dict[str, np.ndarray]:
    """Give a clip as DeepMind packs it: 3 frames of 8 x 16, 2 points."""
    video = np.zeros((3, 8, 16, 3), np.uint8)
    video[1, 2, 4] = (255, 0, 0)
    points = np.zeros((2, 3, 2), np.float32)
    points[0, 1] = (4.5 / 16, 2.5 / 8)
    occluded = np.zeros((2, 3), bool)
    occluded[1, 2] = True
    return {"video": video, "points": points, "occluded": occluded}


def packed(content: object, folder: Path) -> Path:
    path = folder / "clips.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def test_a_tapvid_point_is_on_its_pixel(entry, tmp_path):
    (clip,) = read_tapvid(packed({"goat": entry}, tmp_path))
    assert clip.name == "goat"
    assert clip.points.shape == (3, 2, 2) and clip.visible.shape == (3, 2)
    assert read_at(clip.frames[1], clip.points[1, :1])[0].tolist() == pytest.approx([1, 0, 0])


def test_tapvid_occluded_point_is_not_visible(entry, tmp_path):
    (clip,) = read_tapvid(packed({"goat": entry}, tmp_path))
    assert clip.visible.tolist() == [[True, True], [True, True], [True, False]]


def test_tapvid_list_of_encoded_frames_is_read(entry, tmp_path):
    encoded = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in entry["video"]]
    (clip,) = read_tapvid(packed([{**entry, "video": encoded}], tmp_path))
    assert clip.frames[1, :, 2, 4].tolist() == [1, 0, 0]


class Harmful:
    def __reduce__(self):
        return os.mkdir, (os.environ["FAIRY_TEST_FOLDER"],)


def test_pickle_that_runs_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FAIRY_TEST_FOLDER", str(tmp_path / "made"))
    with pytest.raises(MediaError, match="not an array"):
        list(read_tapvid(packed({"goat": Harmful()}, tmp_path)))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(7), pickle.dumps([{}])])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    with pytest.raises(MediaError, match="give a TAP-Vid file"):
        list(read_tapvid(path))


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(MediaError, match="cannot be read"):
        list(read_tapvid(tmp_path / "none.pkl"))
