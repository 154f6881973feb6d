"""fairy/synthetic/shapes.py."""

from __future__ import annotations

import math

import pytest
import torch

from fairy.synthetic.names import SHAPE_NAMES
from fairy.synthetic.scenes import pixel_grid
from fairy.synthetic.shapes import SHAPES, ring, signed_distance, square, star, triangle


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_fits_the_unit_circle(name: str) -> None:
    points = pixel_grid((64, 64)) * 2
    inside = SHAPES[SHAPE_NAMES.index(name)](points) < 0
    assert points[inside].norm(dim=-1).max() <= 1.12


@pytest.mark.parametrize("name", SHAPE_NAMES)
def test_has_inside_and_outside(name: str) -> None:
    share = (SHAPES[SHAPE_NAMES.index(name)](pixel_grid((64, 64))) < 0).float().mean()
    assert 0.15 < share < 0.8


def test_star_has_five_tips_and_five_notches() -> None:
    angle = torch.arange(10) * math.pi / 5
    points = 0.7 * torch.stack([angle.sin(), -angle.cos()], dim=-1)
    inside = star(points) < 0
    assert inside.tolist() == [True, False] * 5


def test_triangle_points_up() -> None:
    top, bottom = torch.tensor([0.0, -0.9]), torch.tensor([0.0, 0.9])
    assert triangle(top) < 0 < triangle(bottom)


def test_each_row_gets_its_own_shape() -> None:
    grid = pixel_grid((8, 8)).expand(2, -1, -1, -1)
    kinds = torch.tensor([SHAPE_NAMES.index("ring"), SHAPE_NAMES.index("square")])
    distance = signed_distance(kinds, grid)
    assert torch.equal(distance[0], ring(grid[0]))
    assert torch.equal(distance[1], square(grid[1]))
