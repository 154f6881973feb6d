"""The anchors' attention as a tracker (section 4 of the Fairy paper): which layers follow motion?

For a point in a frame, a layer's attention from that point's token to the tokens of an anchor,
averaged over heads, is a map; its largest entry is where the layer finds the point in the anchor.
Maps (P,A,rows,columns): fairy/analysis/attention_maps.py; the chart: tracking_figure.py.
Tests: tests/analysis/test_tracking.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from fairy.analysis.attention_maps import (
    PointAttention,
    attend_from_points,
    centres_of,
    tokens_of,
)
from fairy.analysis.point_tracks import TrackedClip
from fairy.anchors.selection import select_anchor_indices
from fairy.editors.loading import LoadedEditor
from fairy.errors import SettingsError

# TAP-Vid and section 4 of the paper count pixels on frames scaled to 256 x 256
SIDE_PX = 256
THRESHOLDS_PX = (4, 8, 16, 32)


@dataclass
class Hits:
    """Counts of points found within each threshold.

    Attributes:
        within: (4,) counts for `THRESHOLDS_PX`.
        total: number of points.
    """

    within: Tensor = field(default_factory=lambda: torch.zeros(len(THRESHOLDS_PX)))
    total: int = 0

    def add(self, found: Tensor, truth: Tensor, size: Sequence[int]) -> None:
        """Compare found positions (P,2) with the true ones (P,2), in px of a picture of `size`."""
        scale = SIDE_PX / torch.tensor([size[1], size[0]])
        distance = ((found - truth) * scale).norm(dim=-1)
        self.within += (distance[:, None] < torch.tensor(THRESHOLDS_PX)).sum(0)
        self.total += len(distance)

    @property
    def shares(self) -> dict[int, float]:
        """The share of points found within each threshold, by px."""
        shares = self.within / max(self.total, 1)
        return dict(zip(THRESHOLDS_PX, shares.tolist(), strict=True))


@dataclass(frozen=True)
class LayerAccuracy:
    """Tracking accuracy of one layer in one step.

    Attributes:
        layer: its name in the denoiser.
        step: the denoising step, from 0.
        grid: (rows, columns) of its tokens.
        within: share of points found within each of `THRESHOLDS_PX`, by px.
        limit: the same if the layer always chose the right token.
    """

    layer: str
    step: int
    grid: tuple[int, int]
    within: dict[int, float]
    limit: dict[int, float]


@dataclass(frozen=True)
class TrackingAccuracy:
    """Tracking accuracy of every layer.

    Attributes:
        layers: each layer in each step, in the order in which they run.
        standing_still: share of points found by assuming that they do not move.
        num_points: number of points, summed over frames and anchors.
    """

    layers: list[LayerAccuracy]
    standing_still: dict[int, float]
    num_points: int


def by_layer(accuracy: TrackingAccuracy) -> list[tuple[dict[int, float], dict[int, float]]]:
    """Return each layer's (found, limit), means over the steps, in the order in which they run."""
    names = dict.fromkeys(row.layer for row in accuracy.layers)
    rows = [[row for row in accuracy.layers if row.layer == name] for name in names]
    return [(_mean([r.within for r in steps]), _mean([r.limit for r in steps])) for steps in rows]


def _mean(shares: Sequence[Mapping[int, float]]) -> dict[int, float]:
    return {px: fmean(one[px] for one in shares) for px in THRESHOLDS_PX}


def tracking_accuracy(
    editor: LoadedEditor,
    clips: Iterable[TrackedClip],
    *,
    num_anchors: int = 3,
    instruction: str | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> TrackingAccuracy:
    """Return the share of points that the anchors' attention finds within 4 to 32 px, at 256 px.

    For a point visible in a frame t and in an anchor a, the layer's answer is the centre of the
    anchor's token with the largest weight, `argmax over tokens of a of mean over heads of
    attention`. The result is the share of answers within the threshold of the truth, with frames
    scaled to 256 x 256 as in TAP-Vid. Range 0 to 1; higher is better. A coarse layer cannot be
    exact (`limit`). If little moves, assuming no motion is right (`standing_still`). Chance alone
    finds about pi r^2 / 256^2: 0.1, 0.3, 1.2 and 4.9 %. Source: section 4 and figure 2 of the Fairy
    paper. There a point is tracked from its first frame to all others, here from every frame to
    the anchors, as in an edit.

    Args:
        editor: the model.
        clips: with known tracks.
        num_anchors: anchor frames, spread evenly.
        instruction: what to edit; the model's first example when None.
        size: longer side at which the model works; the model's default when None.
        seed: of the noise.
        progress: called after each clip with the number done.

    Raises:
        SettingsError: no point is visible both in a frame and in an anchor.
    """
    scores: dict[tuple[str, int], _Score] = {}
    still = Hits()
    for number, clip in enumerate(clips, 1):
        anchor_indices = select_anchor_indices(len(clip.frames), num_anchors)
        asked = _seen_points(clip, anchor_indices)
        for frame, points in asked.items():
            _score_still(still, clip, frame, points, anchor_indices)
        if asked:
            attend_from_points(
                editor,
                clip.frames,
                {frame: clip.points[frame, points] for frame, points in asked.items()},
                partial(_score, scores, clip, asked, anchor_indices),
                anchor_indices=anchor_indices,
                instruction=instruction,
                size=size,
                seed=seed,
            )
        progress(number)
    if still.total == 0:
        raise SettingsError(
            "no point is visible both in a frame and in an anchor, so nothing can be tracked: use "
            "more frames than anchors"
        )
    layers = [
        LayerAccuracy(layer, step, score.grid, score.found.shares, score.limit.shares)
        for (layer, step), score in scores.items()
    ]
    return TrackingAccuracy(layers, still.shares, still.total)


@dataclass
class _Score:
    grid: tuple[int, int]
    found: Hits = field(default_factory=Hits)
    limit: Hits = field(default_factory=Hits)


def _seen_points(clip: TrackedClip, anchor_indices: Sequence[int]) -> dict[int, Tensor]:
    """Return, by frame except anchors, the points visible there and in some anchor."""
    in_anchors = clip.visible[list(anchor_indices)].any(0)
    asked = {
        frame: (clip.visible[frame] & in_anchors).nonzero()[:, 0]
        for frame in range(len(clip.frames))
        if frame not in anchor_indices
    }
    return {frame: points for frame, points in asked.items() if len(points)}


def _truth(clip: TrackedClip, points: Tensor, anchors: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the positions of points (P,) in each anchor, (P,A,2), and their visibility, (P,A)."""
    places = clip.points[list(anchors)][:, points].transpose(0, 1)
    return places, clip.visible[list(anchors)][:, points].T


def _score(
    scores: dict[tuple[str, int], _Score],
    clip: TrackedClip,
    asked: Mapping[int, Tensor],
    anchor_indices: Sequence[int],
    attention: PointAttention,
) -> None:
    """Add one layer's answers for the points of one frame."""
    places, is_visible = _truth(clip, asked[attention.frame], anchor_indices)
    shape, size = (attention.maps.shape[2], attention.maps.shape[3]), clip.frames.shape[2:]
    score = scores.setdefault((attention.layer, attention.step), _Score(shape))
    found = centres_of(attention.maps.flatten(2).argmax(-1), shape, size)
    score.found.add(found[is_visible], places[is_visible], size)
    right = centres_of(tokens_of(places[is_visible], shape, size), shape, size)
    score.limit.add(right, places[is_visible], size)


def _score_still(
    still: Hits, clip: TrackedClip, frame: int, points: Tensor, anchor_indices: Sequence[int]
) -> None:
    """Add the answer that assumes no motion since `frame`."""
    places, is_visible = _truth(clip, points, anchor_indices)
    here = clip.points[frame, points][:, None].expand_as(places)
    still.add(here[is_visible], places[is_visible], clip.frames.shape[2:])
