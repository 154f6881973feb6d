"""fairy/metrics/local_edits.py: pictures of which a known part is to change."""

from __future__ import annotations

import pytest
import torch

from fairy.metrics.local_edits import change_reached, inpainted, named_only, rest_moved

PART = (slice(None), slice(None), slice(4, 12), slice(6, 14))


@pytest.fixture
def sources() -> torch.Tensor:
    """Two plain grey pictures with a bright square."""
    images = torch.full((2, 3, 16, 20), 0.4)
    images[PART] = 0.9
    return images


@pytest.fixture
def targets(sources: torch.Tensor) -> torch.Tensor:
    """The same pictures with a dark square."""
    images = sources.clone()
    images[PART] = 0.1
    return images


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_part_of_the_change_is_that_share(sources, targets, share):
    outputs = torch.lerp(sources, targets, share)
    assert change_reached(outputs, sources, targets) == pytest.approx(share, abs=1e-6)


def test_moving_away_from_the_target_is_negative(sources, targets):
    outputs = sources.clone()
    outputs[PART] = 1.0
    assert (change_reached(outputs, sources, targets) < 0).all()


def test_a_change_elsewhere_does_not_count_as_reached(sources, targets):
    outputs = sources.clone()
    outputs[..., 0] = 1.0
    assert change_reached(outputs, sources, targets) == pytest.approx(0)


def test_nothing_to_change_is_not_a_number(sources):
    assert change_reached(sources, sources, sources).isnan().all()


def test_rest_is_measured_outside_the_change_alone(sources, targets):
    assert rest_moved(targets, sources, targets) == pytest.approx(0)
    tinted = targets + 0.05
    assert rest_moved(tinted, sources, targets) == pytest.approx(0.05, abs=1e-6)
    assert rest_moved(1 - sources, sources, 1 - sources) == pytest.approx(0)


def test_named_only_needs_the_change_and_a_quiet_rest(sources, targets):
    assert named_only(targets, sources, targets).all()
    assert named_only(targets + 0.02, sources, targets).all()
    assert not named_only(targets + 0.05, sources, targets).any()
    assert not named_only(torch.lerp(sources, targets, 0.4), sources, targets).any()


def test_a_removal_on_a_plain_background_is_inpainted_exactly(sources):
    empty = torch.full_like(sources, 0.4)
    filled = inpainted(sources, empty)
    assert (filled - empty).abs().max() < 2 / 255
    assert (change_reached(filled, sources, empty) > 0.99).all()


def test_what_is_behind_an_object_cannot_be_inpainted(sources):
    behind = torch.full_like(sources, 0.4)
    behind[:, :, 6:10, 8:12] = 0.0
    assert (change_reached(inpainted(sources, behind), sources, behind) < 0.9).all()


def test_inpainting_leaves_the_rest_as_it_was(sources, targets):
    filled = inpainted(sources, targets)
    assert rest_moved(filled, sources, targets).max() < 1 / 255
