"""fairy/evaluation/scores.py: the series against time, and copies of the source."""

from __future__ import annotations

import torch

from fairy.evaluation.scores import hardly_edited, measure
from tests.evaluation.conftest import make_pair


def test_a_swapped_frame_is_where_the_series_peaks(pan):
    edited = 1 - pan
    edited[4] = 1 - edited[4]
    series = measure(make_pair(edited, pan)).series["warp_error"]
    assert {series.index(value) for value in sorted(series)[-2:]} == {3, 4}


def test_an_unedited_copy_is_detected(pan):
    noise = 0.01 * torch.randn(pan.shape, generator=torch.Generator().manual_seed(0))
    copied = measure(make_pair((pan + noise).clamp(0, 1), pan, captions=("dark", "bright")))
    assert copied.hardly_edited
    assert not measure(make_pair(1 - pan, pan)).hardly_edited


def test_a_small_thing_that_was_edited_counts_as_edited(pan):
    edited = pan.clone()
    edited[:, :, 4:9, 4:9] = 1 - pan[:, :, 4:9, 4:9]
    assert not hardly_edited(pan, edited)
