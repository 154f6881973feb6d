"""Anchor indices: spread evenly, inside the clip."""

from __future__ import annotations

import doctest
import math

import pytest

from fairy.anchors import selection
from fairy.anchors.selection import check_anchor_indices, select_anchor_indices, select_shot_anchors
from fairy.errors import SettingsError


def test_example_in_the_docstring():
    assert doctest.testmod(selection).failed == 0


@pytest.mark.parametrize("num_frames", [3, 4, 10, 119, 120])
@pytest.mark.parametrize("num_anchors", [1, 2, 3, 7])
def test_no_frame_is_far_from_an_anchor(num_frames, num_anchors):
    indices = select_anchor_indices(num_frames, num_anchors)
    farthest = max(min(abs(i - index) for index in indices) for i in range(num_frames))
    assert farthest <= math.ceil(num_frames / (2 * len(indices)))


@pytest.mark.parametrize("num_frames", range(1, 12))
def test_indices_are_sorted_distinct_and_in_the_clip(num_frames):
    indices = select_anchor_indices(num_frames, 3)
    assert indices == sorted(set(indices))
    assert len(indices) == min(3, num_frames)
    assert 0 <= indices[0] <= indices[-1] < num_frames


def test_fewer_anchors_are_said(caplog):
    select_anchor_indices(2, 3)
    assert "every frame is an anchor" in caplog.text


def test_chosen_by_hand_sorted_without_repeats():
    assert check_anchor_indices([5, 0, 5], 6) == [0, 5]


@pytest.mark.parametrize("indices", [[], [6], [-1]])
def test_outside_the_clip_is_refused(indices):
    with pytest.raises(SettingsError):
        check_anchor_indices(indices, 6)


def test_anchors_by_hand_are_sorted_and_single():
    assert select_shot_anchors([(0, 10)], 3, (7, 2, 7)) == ((2, 7),)


@pytest.mark.parametrize("index", [-1, 10])
def test_anchor_by_hand_outside_the_clip_is_refused(index):
    with pytest.raises(SettingsError, match=f"{index} is not in the clip.* 0 to 9"):
        select_shot_anchors([(0, 10)], 3, (2, index))


def test_more_anchors_than_frames_makes_every_frame_one(caplog):
    assert select_shot_anchors([(0, 2)], 5) == ((0, 1),)
    assert "5 anchors requested, but the clip has 2 frames" in caplog.text


def test_one_picture_is_its_own_anchor_and_nobody_is_told(caplog):
    assert select_shot_anchors([(0, 1)], 3) == ((0,),)
    assert not caplog.records


def test_every_shot_has_anchors_of_its_own():
    assert select_shot_anchors([(0, 6), (6, 12)], 3) == ((1, 3, 5), (7, 9, 11))


def test_a_short_shot_has_fewer_anchors_and_nobody_is_told(caplog):
    assert select_shot_anchors([(0, 1), (1, 9)], 2) == ((0,), (3, 7))
    assert caplog.text == ""


def test_anchors_by_hand_serve_their_shot_and_others_get_their_own():
    assert select_shot_anchors([(0, 5), (5, 10)], 1, (1, 3)) == ((1, 3), (7,))
