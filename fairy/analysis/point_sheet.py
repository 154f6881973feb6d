"""Draw one point's attention to the anchors as an image uint8 (H,W,3): the paper's figure 3.

Tests: tests/analysis/test_point_sheet.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from fairy.analysis.attention_maps import centres_of, short_name
from fairy.media.colours import Image
from fairy.media.contact_sheet import contact_sheet
from fairy.media.frames import to_images

CELL_HEIGHT_PX = 256
MARK, WHITE = (255, 40, 40), (255, 255, 255)


def draw_point(
    frame: Tensor,
    anchors: Tensor,
    point: tuple[float, float],
    maps: Mapping[str, Tensor],
    *,
    frame_index: int,
    anchor_indices: Sequence[int],
) -> Image:
    """Return a sheet with a row for each layer: the point, and its attention to each anchor.

    Bright areas have large weights, scaled to each anchor's largest one, which has a ring. The
    label is the share of the point's attention that goes to the anchors.

    Args:
        frame: (3,H,W) in [0,1], the frame with the point.
        anchors: (A,3,H,W) in [0,1].
        point: (x, y) in px.
        maps: by layer name, (A,rows,columns).
        frame_index: the frame's number.
        anchor_indices: the anchors' numbers.
    """
    (queried, *images), scale = _scaled(torch.cat([frame[None], anchors]))
    mark_point(queried, (point[0] * scale, point[1] * scale))
    rows = [
        [queried, *(_heat(image, one) for image, one in zip(images, layer, strict=True))]
        for layer in maps.values()
    ]
    labels = [
        f"{short_name(name)}: {float(layer.sum()):.0%} to the anchors"
        for name, layer in maps.items()
    ]
    columns = [f"frame {frame_index}", *(f"anchor {index}" for index in anchor_indices)]
    return contact_sheet(rows, labels, column_labels=columns)


def mark_point(image: Image, place: tuple[float, float]) -> None:
    """Draw a ring around `place`, (x, y) in px, on image (H,W,3)."""
    centre = (round(place[0]), round(place[1]))
    radius = max(4, image.shape[0] // 32)
    cv2.circle(image, centre, radius, WHITE, 3, cv2.LINE_AA)
    cv2.circle(image, centre, radius, MARK, 2, cv2.LINE_AA)


def _scaled(frames: Tensor) -> tuple[list[Image], float]:
    """Return frames as images `CELL_HEIGHT_PX` high, and their scale factor."""
    scale = CELL_HEIGHT_PX / frames.shape[2]
    size = (round(frames.shape[3] * scale), CELL_HEIGHT_PX)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    images = [
        cv2.resize(image, size, interpolation=interpolation) for image in to_images(frames * 2 - 1)
    ]
    return [np.asarray(image, np.uint8) for image in images], scale


def _heat(image: Image, weights: Tensor) -> Image:
    """Return the dimmed image (H,W,3) with weights (rows,columns) as a glow, a ring at the peak."""
    height, width = image.shape[:2]
    strength = cv2.resize((weights / weights.max().clamp_min(1e-12)).numpy(), (width, height)).clip(
        0, 1
    )
    levels = (strength * 255).round().astype(np.uint8)
    glow = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    opacity = 0.3 + 0.6 * strength[..., None]
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    heated = np.asarray((grey * (1 - opacity) + glow * opacity).round(), np.uint8)
    shape = (weights.shape[0], weights.shape[1])
    x, y = centres_of(weights.argmax(), shape, (height, width)).tolist()
    mark_point(heated, (x, y))
    return heated
