"""Did an edit change the named object and leave the rest alone?

outputs, sources and exact targets (B,3,H,W) in [0,1] -> one value per picture, (B,).
Tests: tests/metrics/test_local_edits.py.
"""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from fairy.media.frames import to_images, to_model
from fairy.metrics.checks import check_pair
from fairy.metrics.fidelity import same_region

# The rest may change by this much, as mean absolute difference
REST_TOLERANCE = 0.03
# Telea's method reads pixels up to this far from those that it fills
INPAINT_RADIUS_PX = 3


def change_reached(outputs: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
    """Return the share of the intended change that was made, where source and target differ: (B,).

    `1 - sum |x - t| / sum |s - t|` over the changed pixels. 1 is the target itself, 0 an unedited
    picture, below 0 is further from the target than the source; higher is better. The best possible
    value may be below 1: nobody knows what was behind a removed object (`inpainted`). NaN if
    nothing differs. Source: own.

    Args:
        outputs: (B,3,H,W) in [0,1].
        sources: (B,3,H,W) in [0,1].
        targets: (B,3,H,W) in [0,1], the exact results.

    Raises:
        ValueError: the shapes differ.
    """
    check_pair(outputs, sources)
    changed = ~same_region(sources, targets)
    left = _sum(outputs - targets, changed)
    wanted = _sum(sources - targets, changed)
    return 1 - left / wanted.where(wanted > 0, torch.nan)


def rest_moved(outputs: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
    """Return the mean absolute difference from the source where the target equals it: (B,).

    0 if every pixel should change; lower is better. Arguments: as for `change_reached`.
    """
    same = same_region(sources, targets)
    return _sum(outputs - sources, same) / (3 * same.sum((1, 2))).clamp_min(1)


def named_only(outputs: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
    """Return whether the named object was changed and the rest left alone: (B,) bool.

    Changed: where source and target differ, the output is nearer to the target. Left alone:
    `rest_moved` is at most 3 %. Arguments: as for `change_reached`.
    """
    changed = ~same_region(sources, targets)
    nearer = _sum(outputs - targets, changed) < _sum(outputs - sources, changed)
    return nearer & (rest_moved(outputs, sources, targets) <= REST_TOLERANCE)


def inpainted(sources: Tensor, targets: Tensor) -> Tensor:
    """Return the sources with the changed pixels filled from around them: (B,3,H,W) in [0,1].

    A removal that knows the region exactly, but not what is behind it, gets this far: a bound for
    `change_reached`. Telea, "An Image Inpainting Technique Based on the Fast Marching Method"
    (2004), by OpenCV. Arguments: as for `change_reached`.
    """
    changed = ~same_region(sources, targets)
    filled = []
    for image, mask in zip(to_images(sources * 2 - 1), changed, strict=True):
        hole = mask.to(torch.uint8).numpy()
        result = cv2.inpaint(image, hole, INPAINT_RADIUS_PX, cv2.INPAINT_TELEA)
        filled.append(to_model(result[None]))
    return (torch.cat(filled) + 1) / 2


def _sum(difference: Tensor, where: Tensor) -> Tensor:
    """Sum |difference| (B,3,H,W) over the pixels `where` (B,H,W): (B,)."""
    return (difference.abs() * where[:, None]).sum((1, 2, 3))
