"""The same affine map for source and target."""

from __future__ import annotations

from pathlib import Path

import torch

from fairy.training.config import TrainConfig
from fairy.training.data.affine import (
    PARAMETERS,
    AffineRanges,
    affine_matrices,
    draw_corners,
    draw_parameters,
    draw_paths,
    move_pairs,
    warp,
)

PAPER = AffineRanges(rotation_deg=5, translation=0.05, scale=(0.95, 1.05), shear_deg=5)
IDENTITY = torch.tensor([[0.0, 0, 0, 1, 0, 0]])
NOWHERE = torch.zeros(1, 2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_images(count: int, height: int, width: int) -> torch.Tensor:
    coarse = torch.rand(count, 3, 5, 5, generator=seeded())
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")


def paper_config(**settings: object) -> TrainConfig:
    return TrainConfig(
        stage="finetune",
        model="mini",
        output=Path(),
        resize_scale=1.125,
        affine_rotation_deg=PAPER.rotation_deg,
        affine_translation=PAPER.translation,
        affine_scale=PAPER.scale,
        affine_shear_deg=PAPER.shear_deg,
        **settings,  # type: ignore[arg-type]
    )


def blob(x: float, y: float, size: int = 72) -> torch.Tensor:
    """A round spot (1,3,size,size) at (x, y), zero far from it."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    spot = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 3.0**2))
    return spot.expand(1, 3, -1, -1)


def centroid(images: torch.Tensor) -> torch.Tensor:
    """Return the positions of the spots of images (B,3,H,W): (B,2), (x, y)."""
    weight = images.mean(1)
    rows, columns = torch.meshgrid(*map(torch.arange, weight.shape[1:]), indexing="ij")
    places = torch.stack([(weight * columns).sum((1, 2)), (weight * rows).sum((1, 2))], dim=-1)
    return places / weight.sum((1, 2))[:, None]


def test_identity_changes_nothing() -> None:
    images = smooth_images(1, 20, 28)
    same = warp(images, affine_matrices(IDENTITY, (20, 28)), NOWHERE, (20, 28))
    torch.testing.assert_close(same, images, atol=1e-5, rtol=0)


def test_identity_with_a_corner_is_a_crop() -> None:
    images = smooth_images(1, 20, 28)
    crop = warp(images, affine_matrices(IDENTITY, (20, 28)), torch.tensor([[3.0, 2.0]]), (16, 24))
    torch.testing.assert_close(crop, images[..., 2:18, 3:27], atol=1e-5, rtol=0)


def test_inverse_after_forward_gives_the_inside_back() -> None:
    size = (64, 80)
    images = smooth_images(4, *size)
    theta = affine_matrices(draw_parameters(4, PAPER, seeded()), size)
    square = torch.cat([theta, torch.tensor([0.0, 0, 1]).expand(4, 1, 3)], dim=1)
    corners = torch.zeros(4, 2)
    there = warp(images, theta, corners, size)
    back = warp(there, square.inverse()[:, :2], corners, size)
    inside = (slice(None), slice(None), slice(14, -14), slice(14, -14))
    assert (there - images)[inside].abs().max() > 0.05
    assert (back - images)[inside].abs().max() < 0.01


def test_source_and_target_move_together_to_a_hundredth_of_a_pixel() -> None:
    source = torch.cat([blob(30, 40), blob(41, 33)])
    config = paper_config(clip_frames=3, batch_size=6)
    moved = move_pairs(source, 0.3 * source, (64, 64), config, seeded())
    first, second = map(centroid, moved)
    assert (first - second).abs().max() < 0.01
    assert (first[0] - first[2]).abs().max() > 0.1


def test_a_point_goes_where_the_matrix_says() -> None:
    size, crop = (72, 72), (64, 64)
    parameters = draw_parameters(5, PAPER, seeded())
    theta, corners = affine_matrices(parameters, size), draw_corners(5, size, crop, seeded())
    moved = warp(blob(30, 40).expand(5, -1, -1, -1), theta, corners, crop)
    wanted = theta @ torch.tensor([30.0, 40.0, 1.0]) - corners
    assert (centroid(moved) - wanted).abs().max() < 0.1


def test_borders_are_reflected_in_both() -> None:
    source = smooth_images(8, 36, 36)
    # An edit of each pixel alone: it must hold at the invented borders as well.
    moved_source, moved_target = move_pairs(source, 1 - source, (32, 32), paper_config(), seeded())
    torch.testing.assert_close(moved_target, 1 - moved_source, atol=1e-5, rtol=0)


def test_drawn_ranges_are_the_asked_ones() -> None:
    drawn = draw_parameters(20_000, PAPER, seeded())
    low, high = PAPER.bounds
    assert (drawn >= low).all() and (drawn <= high).all()
    torch.testing.assert_close(drawn.mean(0), (low + high) / 2, atol=0.05, rtol=0)
    assert ((drawn.amax(0) - drawn.amin(0)) > 0.99 * (high - low)).all()


def test_translation_is_a_share_of_width_and_height() -> None:
    parameters = IDENTITY.clone()
    parameters[0, 1:3] = torch.tensor([0.05, -0.1])
    theta = affine_matrices(parameters, (50, 100))
    torch.testing.assert_close(theta[0, :, 2], torch.tensor([5.0, -5.0]))


def test_turning_scaling_and_shearing_keep_the_centre() -> None:
    parameters = torch.tensor([[5.0, 0, 0, 1.05, 4, -3]])
    centre = torch.tensor([(31 - 1) / 2, (21 - 1) / 2, 1])
    theta = affine_matrices(parameters, (21, 31))
    torch.testing.assert_close(theta[0] @ centre, centre[:2], atol=1e-4, rtol=0)
    assert abs(float(theta[0, :, :2].det()) ** 0.5 - 1.05) < 0.01


def test_paths_stay_in_the_ranges_and_are_smooth() -> None:
    paths = draw_paths(500, 9, PAPER, seeded()).view(500, 9, len(PARAMETERS))
    low, high = PAPER.bounds
    assert (paths >= low - 1e-6).all() and (paths <= high + 1e-6).all()
    speed = paths.diff(dim=1)
    # A quadratic curve: its speed changes by the same amount at every frame.
    torch.testing.assert_close(speed.diff(n=2, dim=1), torch.zeros(500, 6, 6), atol=1e-4, rtol=0)
    assert speed.abs().sum(1).mean() > 0


def test_corners_reach_every_place_and_no_other() -> None:
    corners = draw_corners(500, (12, 10), (10, 9), seeded())
    assert {tuple(corner) for corner in corners.tolist()} == {
        (x, y) for x in (0.0, 1.0) for y in (0.0, 1.0, 2.0)
    }
