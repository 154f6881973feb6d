"""Averaged weights."""

from __future__ import annotations

import torch
from torch import nn

from fairy.training.model.ema import Ema


def make() -> tuple[nn.Linear, Ema]:
    model = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model, Ema(dict(model.named_parameters()), decay=0.9)


def test_average_moves_by_one_minus_decay() -> None:
    model, ema = make()
    nn.init.ones_(model.weight)
    ema.update(10_000)
    torch.testing.assert_close(ema.state_dict()["weight"], torch.full((1, 2), 0.1))


def test_first_steps_forget_the_start_sooner() -> None:
    model, ema = make()
    nn.init.ones_(model.weight)
    ema.update(1)
    assert float(ema.state_dict()["weight"][0, 0]) > 0.8
