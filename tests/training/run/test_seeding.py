"""Generators by (seed, step, purpose, part)."""

from __future__ import annotations

import torch

from fairy.training.run.seeding import generator


def draw(*args: object, **kwargs: int) -> float:
    return float(torch.rand((), generator=generator(*args, **kwargs)))  # type: ignore[arg-type]


def test_same_key_same_draw() -> None:
    assert draw(3, 5, "noise") == draw(3, 5, "noise")


def test_every_part_of_the_key_counts() -> None:
    keys = [(3, 5, "noise"), (4, 5, "noise"), (3, 6, "noise"), (3, 5, "data")]
    draws = {draw(*key) for key in keys} | {draw(3, 5, "noise", part=1)}
    assert len(draws) == 5
