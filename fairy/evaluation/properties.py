"""Measures of a model rather than of an edit; they make their own edits.

Frames (T,3,H,W) in [0,1]. Tests: tests/evaluation/test_properties.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fairy.analysis.anchor_transfer import anchor_transfer
from fairy.editors.loading import LoadedEditor
from fairy.evaluation.clips import SuiteClip
from fairy.evaluation.measures import Row
from fairy.evaluation.methods import edit_alone
from fairy.metrics.equivariance import equivariance_error

NUM_MOVED = 4
# The clip is edited three times; more frames hardly change the mean
NUM_FRAMES_FOR_TRANSFER = 8
# Section 3 of the paper: the maps of its equivariant finetuning
ROTATION_DEG, TRANSLATION, SCALE, SHEAR_DEG = 5.0, 0.05, 0.05, 5.0
PROPERTIES = (
    Row(
        "anchor_transfer", "Anchor transfer", "neither", 1, "", 3,
        "How much a change of the anchors' values shows in frames far from them; 0 is not at all.",
    ),
    Row(
        "equivariance_error", "Equivariance error", "lower", 1000, "× 10⁻³", 2,
        "Mean squared difference between editing the moved frame and moving the edited frame.",
    ),
)  # fmt: skip


def measure_properties(
    editor: LoadedEditor, clip: SuiteClip, num_anchors: int, seed: int
) -> dict[str, float]:
    """Return the model's properties on one clip, by key.

    Args:
        editor: the model.
        clip: more frames than anchors; otherwise only the equivariance error is measured.
        num_anchors: anchor frames, spread evenly.
        seed: seed of the noise and of the maps.
    """
    moved = _spread(clip.frames, NUM_MOVED)

    def edit(frames: Tensor) -> Tensor:
        count = len(frames)
        return edit_alone(editor, frames, [clip.instruction] * count, [seed] * count)

    height, width = moved.shape[2:]
    theta = draw_maps(len(moved), width / height, torch.Generator().manual_seed(seed))
    found = {"equivariance_error": equivariance_error(edit, moved, theta)}
    frames = _spread(clip.frames, NUM_FRAMES_FOR_TRANSFER)
    if len(frames) > num_anchors:
        found["anchor_transfer"] = anchor_transfer(
            editor, frames, clip.instruction, num_anchors=num_anchors, seed=seed
        )
    return found


def _spread(frames: Tensor, count: int) -> Tensor:
    """Return at most `count` of the frames, evenly spread."""
    return frames[:: max(1, len(frames) // count)][:count]


def draw_maps(count: int, aspect: float, generator: torch.Generator) -> Tensor:
    """Draw affine maps (count,2,3) from the paper's ranges, as `affine_grid` takes them.

    Args:
        count: how many.
        aspect: width over height of the pictures; coordinates are in [-1,1] along both sides.
        generator: all randomness comes from it.
    """
    unit = 2 * torch.rand(count, 6, generator=generator) - 1
    angle, shear_x, shear_y = (
        torch.deg2rad(unit[:, i] * degrees)
        for i, degrees in enumerate((ROTATION_DEG, SHEAR_DEG, SHEAR_DEG))
    )
    cos, sin, one = angle.cos(), angle.sin(), torch.ones(count)
    turn = torch.stack([cos, -sin, sin, cos], -1).view(count, 2, 2)
    shear = torch.stack([one, shear_x.tan(), shear_y.tan(), one], -1).view(count, 2, 2)
    linear = (1 + SCALE * unit[:, 3, None, None]) * turn @ shear
    # From square pixels to units of half the width and half the height
    sides = torch.tensor([[1.0, 1 / aspect], [aspect, 1.0]])
    # A share of the size is twice that in [-1,1]
    return torch.cat([linear * sides, 2 * TRANSLATION * unit[:, 4:, None]], dim=2)
