"""fairy/synthetic/scenes.py."""

from __future__ import annotations

from dataclasses import replace

import torch

from fairy.synthetic.names import SHAPE_NAMES
from fairy.synthetic.samplers import SceneSampler
from fairy.synthetic.scenes import SceneBatch, pixel_grid, render


def _scene(num_objects: int, size: tuple[int, int] = (48, 64), seed: int = 0) -> SceneBatch:
    counts = torch.full((4,), num_objects)
    return SceneSampler().sample(counts, size, torch.Generator().manual_seed(seed))


def test_without_objects_the_background_is_the_picture() -> None:
    scene = _scene(0)
    drawn = render(scene)
    assert torch.equal(drawn.image, scene.canvas)
    assert not drawn.labels.any()


def test_pictures_are_in_range() -> None:
    drawn = render(_scene(4))
    assert drawn.image.shape == (4, 3, 48, 64)
    assert drawn.image.amin() >= 0 <= drawn.image.amax() <= 1


def test_labels_name_the_present_objects() -> None:
    assert set(render(_scene(2)).labels.unique().tolist()) <= {0, 1, 2}


def test_later_objects_are_in_front() -> None:
    scene = _scene(2)
    on_top = replace(scene, pose=scene.pose[:, :1].expand(-1, 4, -1))
    square = torch.full_like(scene.kind, SHAPE_NAMES.index("square"))
    labels = render(replace(on_top, kind=square)).labels
    assert not (labels == 1).any()
    assert (labels == 2).any()


def test_moving_an_object_moves_its_labels() -> None:
    scene = _scene(1)
    half = min(scene.canvas.shape[2:]) / 2
    moved = scene.pose.clone()
    moved[..., 0] += 4 / half
    before, after = render(scene).labels, render(replace(scene, pose=moved)).labels
    assert torch.equal(before[..., :-4], after[..., 4:])


def test_changing_a_colour_changes_the_object_only() -> None:
    scene = _scene(1)
    before = render(scene)
    after = render(replace(scene, colour=1 - scene.colour)).image
    changed = (before.image - after).abs().amax(1) > 1e-6
    near = torch.nn.functional.max_pool2d((before.labels > 0).float()[:, None], 5, 1, 2)[:, 0]
    assert changed.any()
    assert not (changed & (near == 0)).any()


def test_the_grid_is_centred_and_square() -> None:
    grid = pixel_grid((4, 8))
    assert torch.allclose(grid.mean((0, 1)), torch.zeros(2), atol=1e-6)
    assert torch.equal(grid[0, 1] - grid[0, 0], torch.tensor([0.5, 0.0]))
