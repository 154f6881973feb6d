"""fairy/synthetic/samplers.py."""

from __future__ import annotations

from dataclasses import replace

import torch

from fairy.synthetic.samplers import ClearSceneSampler, SceneSampler
from fairy.synthetic.scenes import SceneBatch, render


def _picture(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return render(SceneSampler().sample(torch.full((4,), 3), (48, 64), generator)).image


def test_same_seed_same_scene() -> None:
    assert torch.equal(_picture(0), _picture(0))
    assert not torch.equal(_picture(0), _picture(1))


def _clear_scenes(size: tuple[int, int] = (48, 64), count: int = 16) -> SceneBatch:
    generator = torch.Generator().manual_seed(3)
    return ClearSceneSampler().sample(torch.full((count,), 4), size, generator)


def test_objects_of_a_clear_scene_are_of_distinct_kinds() -> None:
    scene = _clear_scenes()
    for kinds, present in zip(scene.kind, scene.present, strict=True):
        shown = kinds[present].tolist()
        assert 1 <= len(shown) == len(set(shown)) <= 3


def test_objects_of_a_clear_scene_are_whole() -> None:
    """A picture with a border of canvas around it shows as much of every object."""
    scene = _clear_scenes((48, 48))
    margin = 8
    wide = replace(
        scene,
        canvas=torch.nn.functional.pad(scene.canvas, (margin,) * 4),
        pose=torch.cat([scene.pose[..., :3] * 48 / (48 + 2 * margin), scene.pose[..., 3:]], dim=-1),
    )
    for index in range(3):
        one = torch.arange(4) == index
        shown = render(replace(scene, present=scene.present & one)).labels > 0
        whole = render(replace(wide, present=wide.present & one)).labels > 0
        assert torch.equal(shown.sum((1, 2)), whole.sum((1, 2)))


def test_colours_of_a_clear_scene_are_distinct() -> None:
    scene = _clear_scenes(count=64)
    distance = torch.cdist(scene.colour[:, :3], scene.colour[:, :3]) + 9 * torch.eye(3)
    assert (distance.amin((1, 2)) > 0.2).float().mean() > 0.95
