"""Choose which frames of a clip are its anchors, by index.

Tests: tests/anchors/test_selection.py.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fairy.errors import SettingsError
from fairy.media.shots import Shot

logger = logging.getLogger(__name__)


def select_anchor_indices(num_frames: int, num_anchors: int) -> list[int]:
    """Return `num_anchors` frame indices spread evenly over the clip, sorted, no repeats.

    The clip is cut into `num_anchors` equal spans and the middle frame of each is taken, so
    no frame is further than `num_frames / (2 * num_anchors)`, rounded up, from an anchor. A clip
    with fewer frames than anchors has every frame as an anchor.

    >>> select_anchor_indices(num_frames=120, num_anchors=3)
    [20, 60, 100]

    Raises:
        SettingsError: a count below 1.
    """
    if num_frames < 1 or num_anchors < 1:
        raise SettingsError(
            f"{num_anchors} anchors of {num_frames} frames: both must be at least 1"
        )
    # For a single picture nobody expects several anchors
    if num_anchors > num_frames > 1:
        logger.warning(
            "%d anchors requested, but the clip has %d frames: every frame is an anchor",
            num_anchors,
            num_frames,
        )
    num_anchors = min(num_anchors, num_frames)
    return [(2 * span + 1) * num_frames // (2 * num_anchors) for span in range(num_anchors)]


def select_shot_anchors(
    shots: Sequence[Shot],
    num_anchors: int,
    anchor_indices: Sequence[int] | None = None,
    changed: Sequence[bool] | None = None,
) -> tuple[tuple[int, ...], ...]:
    """Return the anchors of each shot of a clip, sorted: `num_anchors` spread evenly over it.

    Anchors chosen by hand replace those of the shot they are in. Where only some frames are
    `changed`, anchors are chosen among these, and a shot without any has no anchors.

    >>> select_shot_anchors([(0, 6), (6, 12)], num_anchors=2)
    ((1, 4), (7, 10))

    Raises:
        SettingsError: an anchor chosen by hand is not in the clip, or a count below 1.
    """
    named = [] if anchor_indices is None else check_anchor_indices(anchor_indices, shots[-1][1])
    anchors = []
    for first, end in shots:
        here = tuple(index for index in named if first <= index < end)
        able = [index for index in range(first, end) if changed is None or changed[index]]
        if able and not here:
            # A short shot among others needs no warning that it has fewer
            wanted = num_anchors if len(shots) == 1 else min(num_anchors, len(able))
            here = tuple(able[index] for index in select_anchor_indices(len(able), wanted))
        anchors.append(here if able else ())
    return tuple(anchors)


def check_anchor_indices(anchor_indices: Sequence[int], num_frames: int | None = None) -> list[int]:
    """Return indices chosen by hand, sorted and without repeats.

    Args:
        anchor_indices: frame indices, any order.
        num_frames: length of the clip; unknown when None.

    Raises:
        SettingsError: no index, or one outside the clip.
    """
    indices = sorted(set(anchor_indices))
    if not indices:
        raise SettingsError("anchor_indices is empty: name at least one frame")
    outside = [i for i in indices if i < 0 or (num_frames is not None and i >= num_frames)]
    if outside:
        last = "" if num_frames is None else f" to {num_frames - 1}"
        raise SettingsError(f"anchor frame {outside[0]} is not in the clip: use 0{last}")
    return indices
