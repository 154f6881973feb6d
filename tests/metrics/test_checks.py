"""fairy/metrics/checks.py: what cannot be measured is said, with what to give instead."""

from __future__ import annotations

import pytest
import torch

from fairy.metrics.checks import check_frames, check_mask, check_pair


@pytest.mark.parametrize(
    "frames",
    [torch.zeros(4, 8, 8, 3), torch.zeros(3, 8, 8), torch.zeros(4, 3, 8, 8, dtype=torch.uint8)],
)
def test_what_is_no_clip_is_refused(frames):
    with pytest.raises(ValueError, match=r"give float \(T,3,H,W\) in \[0,1\]"):
        check_frames(frames)


def test_too_short_clip_is_refused():
    with pytest.raises(ValueError, match="needs at least 3"):
        check_frames(torch.zeros(2, 3, 8, 8), least=3)


def test_clips_of_different_length_are_refused():
    with pytest.raises(ValueError, match="same length and size"):
        check_pair(torch.zeros(4, 3, 8, 8), torch.zeros(5, 3, 8, 8))


def test_empty_mask_is_refused():
    with pytest.raises(ValueError, match="nothing to compare"):
        check_mask(torch.zeros(2, 4, 4, dtype=torch.bool), (2, 4, 4))


def test_mask_of_weights_is_refused():
    with pytest.raises(ValueError, match="give bool"):
        check_mask(torch.ones(2, 4, 4), (2, 4, 4))
