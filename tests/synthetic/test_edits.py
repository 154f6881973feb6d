"""fairy/synthetic/edits.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fairy.synthetic.edits import EDITS, EDITS_BY_NAME, Edit, Pairs, reshape, sample_pairs
from fairy.synthetic.names import SHAPE_NAMES
from fairy.synthetic.samplers import ClearSceneSampler, SceneSampler
from fairy.synthetic.scenes import render


def _pairs(edit: Edit, seed: int = 0) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    return sample_pairs(SceneSampler(), 4, (32, 40), generator, edits=(edit,))


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_target_differs_from_source(edit: Edit) -> None:
    pairs = _pairs(edit)
    assert pairs.target.shape == pairs.source.shape == (4, 3, 32, 40)
    assert (pairs.target - pairs.source).abs().mean() > 0.001
    assert pairs.target.amin() >= -1e-5 <= pairs.target.amax() <= 1 + 1e-5


@pytest.mark.parametrize("name", ["recolour", "remove"])
def test_only_objects_change(name: str) -> None:
    pairs = _pairs(EDITS_BY_NAME[name])
    changed = (pairs.target - pairs.source).abs().amax(1) > 0.02
    assert pairs.objects.shape == changed.shape
    assert (changed & ~pairs.objects).float().mean() < 0.05 < pairs.objects.float().mean()


def test_there_are_enough_edits_of_each_scope() -> None:
    scopes = [edit.scope for edit in EDITS]
    assert scopes.count("global") >= 14
    assert scopes.count("local") >= 4
    assert scopes.count("one-to-many") >= 4


@pytest.mark.parametrize("name", ["recolour", "reshape", "remove"])
def test_the_instruction_names_the_shape(name: str) -> None:
    pairs = _pairs(EDITS_BY_NAME[name])
    assert len(set(pairs.instructions)) > 1


@pytest.mark.parametrize("name", ["remove", "recolour", "reshape", "random_shape_colours"])
def test_local_edits_leave_most_of_the_scene(name: str) -> None:
    pairs = _pairs(EDITS_BY_NAME[name])
    same = (pairs.target - pairs.source).abs().amax(1) < 1e-5
    assert same.float().mean() > 0.3


def test_a_new_shape_does_not_depend_on_the_angle_of_the_old_one() -> None:
    scene = ClearSceneSampler().sample(
        torch.tensor([1]), (64, 64), torch.Generator().manual_seed(0)
    )
    circle = torch.full_like(scene.kind, SHAPE_NAMES.index("circle"))
    targets = []
    for angle in (-0.4, 0.3):
        pose = torch.cat([scene.pose[..., :3], torch.full_like(scene.pose[..., 3:], angle)], dim=-1)
        turned = replace(scene, kind=circle, pose=pose, pattern=torch.zeros_like(scene.pattern))
        flat = replace(turned, texture=torch.ones_like(scene.texture))
        targets.append(reshape(flat, render(flat), torch.Generator().manual_seed(1))[0])
    assert torch.equal(*targets)


def test_batches_mix_edits() -> None:
    pairs = sample_pairs(SceneSampler(), 30, (32, 32), torch.Generator().manual_seed(0))
    assert len(pairs.names) == len(pairs.instructions) == len(pairs.source) == 30
    assert len(set(pairs.names)) > 3


def test_same_seed_same_pairs() -> None:
    edit = EDITS_BY_NAME["pop_art"]
    first, again, other = _pairs(edit), _pairs(edit), _pairs(edit, seed=1)
    assert torch.equal(first.target, again.target)
    assert first.instructions == again.instructions
    assert not torch.equal(first.target, other.target)


def test_a_scope_without_weight_is_not_drawn() -> None:
    weights, generator = (0.0, 0.0, 1.0), torch.Generator().manual_seed(0)
    pairs = sample_pairs(SceneSampler(), 40, (16, 16), generator, scope_weights=weights)
    assert {EDITS_BY_NAME[name].scope for name in pairs.names} == {"one-to-many"}
