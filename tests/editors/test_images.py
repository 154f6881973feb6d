"""Frames of every kind become the model's tensors, and results the kind asked for."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch

from fairy.editors.images import fit_to_grid, frame_size, read_at_size, to_output, to_tensor
from tests.tiny import make_frames

FRAME = make_frames(1)[0]


@pytest.mark.parametrize("output_type", ["np", "pil"])
def test_frames_come_back_unchanged(output_type):
    out = to_output(to_tensor(FRAME)[None], output_type)
    assert np.array_equal(np.asarray(out[0]), FRAME)


def test_all_kinds_of_frames_are_the_same_tensor():
    expected = torch.from_numpy(FRAME).permute(2, 0, 1).float() / 127.5 - 1
    for frame in (FRAME, PIL.Image.fromarray(FRAME), expected):
        assert torch.allclose(to_tensor(frame), expected)
        assert frame_size(frame) == (24, 32)


@pytest.mark.parametrize(
    "frame", [FRAME.astype(np.float32), FRAME[..., 0], torch.zeros(24, 32, 3), torch.zeros(3, 4)]
)
def test_other_shapes_and_types_are_refused(frame):
    with pytest.raises(ValueError, match=r"pass uint8 \(H,W,3\)"):
        to_tensor(frame)


def test_frames_are_read_at_the_size_asked():
    (image,) = read_at_size([FRAME], (12, 16))
    assert image.shape == (3, 12, 16)


@pytest.mark.parametrize(
    ("size", "expected"), [((24, 32), (24, 32)), ((13, 19), (16, 16)), ((1, 32), (8, 32))]
)
def test_size_is_on_the_grid(size, expected):
    assert fit_to_grid(size, 8) == expected
