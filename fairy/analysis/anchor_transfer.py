"""How much frames take from the anchors, measured by changing the anchors.

An editor and a clip (T,3,H,W) in [0,1] -> one number. It changes attention inside the edit.
Tests: tests/analysis/test_anchor_transfer.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from fairy.analysis.watching import watched
from fairy.anchors.attention_hooks import Attended, Change
from fairy.anchors.backends import Backend
from fairy.anchors.parts import Part
from fairy.anchors.selection import select_anchor_indices
from fairy.editors.base import Anchor, EditInput
from fairy.editors.images import fit_to_grid
from fairy.editors.loading import LoadedEditor
from fairy.metrics.checks import check_frames
from fairy.settings import EditConfig


def anchor_transfer(
    editor: LoadedEditor,
    frames: Tensor,
    instruction: str,
    *,
    num_anchors: int = 3,
    seed: int = 0,
    backend: str | Backend = "auto",
    **settings: Any,
) -> float:
    """Return how much a change of the anchors' values shows in frames far from the anchors.

    The clip is edited three times: unchanged (y); with the tokens of the anchors' values in reverse
    order in every attention of the frames, but unchanged keys (y_a); and with the frames' own
    values reversed as well (y_all). The result is `rms(y_a - y) / rms(y_all - y)` over the half of
    the frames farthest from any anchor. It ranges from 0 to about 1: at 0 anchors are not used, at
    1 frames take everything from them. Higher is steadier and less faithful to each frame. It
    measures how much is taken, not whether it is right. In a plain picture the values hardly differ
    between places, so both changes vanish and the number is noise. Source: own.

    Args:
        editor: the model.
        frames: (T,3,H,W) in [0,1], more frames than anchors.
        instruction: what to change.
        num_anchors: anchor frames, spread evenly.
        seed: seed of the noise, the same for all three edits.
        backend: how attention is computed, with InstructPix2Pix models.
        **settings: fields of `EditConfig`, such as `num_inference_steps`.

    Raises:
        ValueError: every frame is an anchor.
    """
    check_frames(frames)
    anchor_indices = select_anchor_indices(len(frames), num_anchors)
    far = far_from_anchors(len(frames), anchor_indices)
    if not far:
        raise ValueError(f"{len(frames)} frames, {num_anchors} anchors: no frame is far from them")
    anchors = [Anchor(index, frames[index] * 2 - 1) for index in anchor_indices]
    inputs = [EditInput(index, frames[index] * 2 - 1) for index in far]
    config, size = EditConfig(seed=seed, **settings), fit_to_grid(frames.shape[2:], editor.grid)

    def edit(change: Change) -> Tensor:
        with watched(
            editor, instruction, anchors, config, change, size=size, backend=backend
        ) as session:
            return session.edit_tensors(inputs)

    plain = edit(lambda attended: attended)
    of_anchors = _rms(edit(_reversed_values(own=False)) - plain)
    of_all = _rms(edit(_reversed_values(own=True)) - plain)
    return of_anchors / of_all if of_all > 0 else 0.0


def far_from_anchors(num_frames: int, anchor_indices: list[int]) -> list[int]:
    """Return the frames at least half as far from an anchor as the farthest one.

    >>> far_from_anchors(9, [4])
    [0, 1, 2, 6, 7, 8]
    """
    distances = [min(abs(t - anchor) for anchor in anchor_indices) for t in range(num_frames)]
    return [
        t for t, distance in enumerate(distances) if distance > 0 and 2 * distance >= max(distances)
    ]


def _reversed_values(*, own: bool) -> Change:
    """Return a change that reverses the tokens of the anchors' values and keeps their keys."""

    def change(attended: Attended) -> Attended:
        kept = attended.own
        return replace(
            attended, anchors=_flipped(attended.anchors), own=_flipped(kept) if own else kept
        )

    return change


def _flipped(part: Part) -> Part:
    return part._replace(v=part.v.flip(1))


def _rms(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt())
