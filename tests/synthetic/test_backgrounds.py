"""fairy/synthetic/backgrounds.py."""

from __future__ import annotations

import torch

from fairy.synthetic.backgrounds import dead_leaves


def test_dead_leaves_fill_the_range_of_pictures() -> None:
    leaves = dead_leaves(3, (32, 32), torch.Generator().manual_seed(1))
    assert leaves.shape == (3, 3, 32, 32)
    assert leaves.std() > 0.1
