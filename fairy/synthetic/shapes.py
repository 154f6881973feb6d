"""Flat shapes as signed distances: negative inside, zero on the outline, positive outside.

Points (...,2) are in the shape's own coordinates: the shape fits the unit circle, and y points
down. Distances are exact near straight edges, where antialiasing needs them.
Tests: tests/synthetic/test_shapes.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def _length(points: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(points, dim=-1)
    return length


def circle(points: Tensor) -> Tensor:
    """A disc of radius 0.9."""
    return _length(points) - 0.9


def square(points: Tensor) -> Tensor:
    """A square of half side 0.78."""
    return points.abs().amax(-1) - 0.78


def triangle(points: Tensor) -> Tensor:
    """An equilateral triangle, tip up."""
    x, y = points.unbind(-1)
    slope = math.cos(math.pi / 6) * x.abs() - 0.5 * y
    return torch.maximum(y, slope) - 0.5


def star(points: Tensor) -> Tensor:
    """A five-pointed star, tip up."""
    x, y = points.unbind(-1)
    sector = 2 * math.pi / 5
    angle = torch.atan2(x, -y)
    folded = (angle - sector * torch.round(angle / sector)).abs()
    radius = _length(points)
    inner = 0.42
    # An edge runs from the tip (1, 0) to the notch half a sector away; (nx, ny) is its normal.
    dx, dy = inner * math.cos(sector / 2) - 1, inner * math.sin(sector / 2)
    length = math.hypot(dx, dy)
    nx, ny = dy / length, -dx / length
    return (radius * folded.cos() - 1) * nx + radius * folded.sin() * ny


def ring(points: Tensor) -> Tensor:
    """A ring between radius 0.45 and 0.95."""
    return (_length(points) - 0.7).abs() - 0.25


def cross(points: Tensor) -> Tensor:
    """An upright cross with arms 0.56 wide."""
    x, y = points.abs().unbind(-1)
    return torch.minimum(
        torch.maximum(x - 0.28, y - 0.92),
        torch.maximum(y - 0.28, x - 0.92),
    )


# By `SHAPE_NAMES`
SHAPES: tuple[Callable[[Tensor], Tensor], ...] = (circle, square, triangle, star, ring, cross)


def signed_distance(kind: Tensor, points: Tensor) -> Tensor:
    """Return the distance of each point to the outline of its row's shape.

    Args:
        kind: (R,) index into `SHAPE_NAMES`.
        points: (R,H,W,2) in the shapes' own coordinates.

    Returns:
        (R,H,W), in units of the shape's radius.
    """
    distance = points.new_empty(points.shape[:-1])
    for index, shape in enumerate(SHAPES):
        rows = (kind == index).nonzero().flatten()
        if len(rows):
            distance[rows] = shape(points[rows])
    return distance
