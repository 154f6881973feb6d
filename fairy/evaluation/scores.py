"""Take every measure of one edit (`fairy.evaluation.measures`), and detect unedited copies.

Frames (T,3,H,W) in [0,1]. Tests: tests/evaluation/test_scores.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from fairy.evaluation.measures import MEASURES, NotMeasured
from fairy.evaluation.pair import Pair
from fairy.metrics.drift import drift
from fairy.metrics.semantic import Encoder
from fairy.metrics.temporal import warp_error

# A copy through a lossy codec stays below both: 0.015 is 4 levels of 255 on average, and hardly
# any pixel changes by a tenth of the range
HARDLY_CHANGED, CLEAR_CHANGE, FEW_PIXELS = 0.015, 0.1, 0.005


@dataclass(frozen=True)
class Scores:
    """The scores of one edit.

    Attributes:
        values: by measure, its value if it was taken.
        missing: by measure, why it was not taken.
        series: by measure, values against time: `warp_error` (T-1) and `drift` (T).
        hardly_edited: whether the edit is little more than a copy of the source.
    """

    values: dict[str, float]
    missing: dict[str, str]
    series: dict[str, list[float | None]] = field(default_factory=dict)
    hardly_edited: bool = False


def measure(pair: Pair, encoder: Encoder | None = None) -> Scores:
    """Take every measure of `MEASURES`.

    Args:
        pair: the edit and what is known about it.
        encoder: such as CLIP; without it, measures that need it are not taken.
    """
    values, missing = dict[str, float](), dict[str, str]()
    for row in MEASURES:
        try:
            values[row.key] = row.take(pair, encoder)
        except NotMeasured as reason:
            missing[row.key] = str(reason)
    series = {
        "warp_error": warp_errors(pair),
        "drift": list(drift(pair.edited, pair.look_indices).tolist()),
    }
    return Scores(values, missing, series, hardly_edited(pair.source, pair.edited))


def warp_errors(pair: Pair) -> list[float | None]:
    """Return the warp error from each frame to the next (T-1); None where nothing is visible."""
    return [
        warp_error(pair.edited[t : t + 2], pair.flow[t : t + 1], pair.visible[t : t + 1])
        if pair.visible[t].any()
        else None
        for t in range(len(pair.flow))
    ]


def hardly_edited(source: Tensor, edited: Tensor) -> bool:
    """Return whether a clip is little more than a copy of its source, both (T,3,H,W) in [0,1].

    The steadiness of such a clip means nothing: the source itself is perfectly steady.
    """
    change = (edited - source).abs().mean(1)
    clear = (change > CLEAR_CHANGE).float().mean()
    return bool(change.mean() < HARDLY_CHANGED and clear < FEW_PIXELS)
