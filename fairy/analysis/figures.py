"""Pictures of what the anchors' attention knows: a point's maps, and accuracy by layer.

Images uint8 (H,W,3). The paper's figures 3 and 2. Tests: tests/analysis/test_figures.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont
from torch import Tensor

from fairy.analysis.attention_maps import centres_of, short_name
from fairy.analysis.tracking import THRESHOLDS_PX, TrackingAccuracy
from fairy.media.colours import Image
from fairy.media.contact_sheet import contact_sheet
from fairy.media.frames import to_images

CELL_HEIGHT_PX = 256
MARK = (255, 40, 40)
INK, PALE, WHITE = (32, 32, 32), (222, 222, 222), (255, 255, 255)
# Colours that also those who see few tell apart (Okabe and Ito)
FOUND, LIMIT, STILL = (0, 114, 178), (150, 150, 150), (230, 159, 0)
# The chart is drawn larger and shrunk: PIL's lines have no soft edges
SUPERSAMPLING = 2
PANEL = (330, 300)
MARGIN_LEFT, MARGIN_TOP, MARGIN_BOTTOM, GAP = 56, 70, 64, 34


def draw_point(
    frame: Tensor,
    anchors: Tensor,
    point: tuple[float, float],
    maps: Mapping[str, Tensor],
    *,
    frame_index: int,
    anchor_indices: Sequence[int],
) -> Image:
    """Return a sheet: a row for each layer, with the point, and where it looks in each anchor.

    Bright is where the layer attends, each anchor against its own largest weight; the ring is the
    largest; the label says which share of all its attention the point gives to the anchors.

    Args:
        frame: (3,H,W) in [0,1], in which the point lies.
        anchors: (A,3,H,W) in [0,1].
        point: (x, y) in px.
        maps: by the layer's name, (A,rows,columns).
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
    """Draw a ring around `place`, (x, y) in px, into image (H,W,3)."""
    centre = (round(place[0]), round(place[1]))
    radius = max(4, image.shape[0] // 32)
    cv2.circle(image, centre, radius, WHITE, 3, cv2.LINE_AA)
    cv2.circle(image, centre, radius, MARK, 2, cv2.LINE_AA)


def _scaled(frames: Tensor) -> tuple[list[Image], float]:
    """Return frames as images `CELL_HEIGHT_PX` high, and by how much they were scaled."""
    scale = CELL_HEIGHT_PX / frames.shape[2]
    size = (round(frames.shape[3] * scale), CELL_HEIGHT_PX)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    images = [cv2.resize(image, size, interpolation=way) for image in to_images(frames * 2 - 1)]
    return [np.asarray(image, np.uint8) for image in images], scale


def _heat(image: Image, weights: Tensor) -> Image:
    """Return image (H,W,3), dimmed, with weights (rows,columns) as a glow and their largest."""
    height, width = image.shape[:2]
    strength = cv2.resize((weights / weights.max().clamp_min(1e-12)).numpy(), (width, height)).clip(
        0, 1
    )
    levels = (strength * 255).round().astype(np.uint8)
    glow = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    share = 0.3 + 0.6 * strength[..., None]
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    heated = np.asarray((grey * (1 - share) + glow * share).round(), np.uint8)
    shape = (weights.shape[0], weights.shape[1])
    x, y = centres_of(weights.argmax(), shape, (height, width)).tolist()
    mark_point(heated, (x, y))
    return heated


def draw_accuracy(accuracy: TrackingAccuracy, title: str) -> Image:
    """Return a chart: for each threshold a panel, accuracy by layer (the mean over the steps).

    Beside it stand what the layer's grid allows, and the answer that nothing moves.
    """
    layers = by_layer(accuracy)
    width = MARGIN_LEFT + len(THRESHOLDS_PX) * (PANEL[0] + GAP)
    height = MARGIN_TOP + PANEL[1] + MARGIN_BOTTOM
    size = (width * SUPERSAMPLING, height * SUPERSAMPLING)
    sheet = PilImage.new("RGB", size, WHITE)
    pen = _Pen(ImageDraw.Draw(sheet))
    pen.text((MARGIN_LEFT, 8), title, size=17)
    for place, threshold in enumerate(THRESHOLDS_PX):
        origin = (MARGIN_LEFT + place * (PANEL[0] + GAP), MARGIN_TOP)
        pen.axes(origin, f"within {threshold} px of 256", len(layers), labelled=place == 0)
        still = accuracy.standing_still[threshold]
        pen.curve(origin, [limit[threshold] for _, limit in layers], LIMIT)
        pen.curve(origin, [still] * len(layers), STILL)
        pen.curve(origin, [found[threshold] for found, _ in layers], FOUND, dots=True)
    pen.legend((MARGIN_LEFT, height - 28))
    small = sheet.resize((width, height), PilImage.Resampling.LANCZOS)
    return np.asarray(small, np.uint8)


def by_layer(accuracy: TrackingAccuracy) -> list[tuple[dict[int, float], dict[int, float]]]:
    """Return for each layer, in the order in which they run, (found, limit): means over steps."""
    names = dict.fromkeys(row.layer for row in accuracy.layers)
    rows = [[row for row in accuracy.layers if row.layer == name] for name in names]
    return [(_mean([r.within for r in steps]), _mean([r.limit for r in steps])) for steps in rows]


def _mean(shares: Sequence[Mapping[int, float]]) -> dict[int, float]:
    return {px: float(np.mean([one[px] for one in shares])) for px in THRESHOLDS_PX}


class _Pen:
    """Draws a panel's parts; all lengths in px of the finished chart."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw

    def text(
        self, at: tuple[float, float], text: str, *, size: int = 13, anchor: str = "la"
    ) -> None:
        font = ImageFont.load_default(size=size * SUPERSAMPLING)
        self._draw.text(self._scaled(at), text, fill=INK, font=font, anchor=anchor)

    def line(
        self, points: Sequence[tuple[float, float]], colour: tuple[int, int, int], width: float
    ) -> None:
        scaled = [self._scaled(point) for point in points]
        self._draw.line(scaled, fill=colour, width=round(width * SUPERSAMPLING), joint="curve")

    def axes(self, origin: tuple[int, int], title: str, num_layers: int, *, labelled: bool) -> None:
        left, top = origin
        self.text((left, top - 26), title, size=14)
        for percent in range(0, 101, 25):
            y = top + PANEL[1] * (1 - percent / 100)
            self.line([(left, y), (left + PANEL[0], y)], PALE, 1)
            if labelled:
                self.text((left - 6, y), f"{percent} %", anchor="rm")
        for layer in range(num_layers):
            x = self._x(left, layer, num_layers)
            if num_layers <= 10 or layer % 2 == 0:
                self.text((x, top + PANEL[1] + 5), str(layer + 1), size=12, anchor="ma")

    def curve(
        self,
        origin: tuple[int, int],
        shares: Sequence[float],
        colour: tuple[int, int, int],
        *,
        dots: bool = False,
    ) -> None:
        left, top = origin
        points = [
            (self._x(left, layer, len(shares)), top + PANEL[1] * (1 - share))
            for layer, share in enumerate(shares)
        ]
        self.line(points, colour, 2.5)
        for x, y in points if dots else ():
            corners = [self._scaled((x - 4, y - 4)), self._scaled((x + 4, y + 4))]
            self._draw.ellipse(corners, fill=colour)

    def legend(self, at: tuple[float, float]) -> None:
        x, y = at
        entries = [
            (FOUND, "the layer's attention"),
            (LIMIT, "the best its tokens allow"),
            (STILL, "taking points to stand still"),
        ]
        for colour, text in entries:
            self.line([(x, y), (x + 26, y)], colour, 3)
            self.text((x + 32, y), text, anchor="lm")
            x += 250
        self.text(
            (x, y), "across: self-attention layers, in the order in which they run", anchor="lm"
        )

    @staticmethod
    def _x(left: float, layer: int, num_layers: int) -> float:
        return left + PANEL[0] * (layer + 0.5) / num_layers

    @staticmethod
    def _scaled(point: tuple[float, float]) -> tuple[float, float]:
        return point[0] * SUPERSAMPLING, point[1] * SUPERSAMPLING
