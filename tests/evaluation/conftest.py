"""A small clip whose motion is known, and edits of it with known faults."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairy.evaluation.pair import Pair

NUM_FRAMES = 8
STEP_PX = 2


def make_pair(edited: torch.Tensor, source: torch.Tensor, **known: object) -> Pair:
    """A pair whose source pans by `STEP_PX` to the right."""
    num_frames, _, height, width = source.shape
    flow = torch.zeros(num_frames - 1, 2, height, width)
    flow[:, 0] = STEP_PX
    visible = torch.ones(num_frames - 1, height, width, dtype=torch.bool)
    visible[:, :, width - STEP_PX :] = False
    return Pair(
        source=source, edited=edited, flow=flow, visible=visible, flow_method="exact", **known
    )


@pytest.fixture
def pan() -> torch.Tensor:
    """A picture that moves right by whole pixels, (8,3,24,32)."""
    coarse = torch.rand(1, 3, 6, 16, generator=torch.Generator().manual_seed(0))
    wide = F.interpolate(coarse, (24, 64), mode="bicubic").clamp(0, 1)[0]
    starts = [24 - STEP_PX * t for t in range(NUM_FRAMES)]
    return torch.stack([wide[:, :, s : s + 32] for s in starts])
