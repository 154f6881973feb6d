"""A small clip whose motion is known, edits of it with known faults, and results made by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fairy.evaluation.pair import Pair
from fairy.evaluation.results import Case, Results
from fairy.evaluation.scores import Scores

NUM_FRAMES = 8
STEP_PX = 2
NUM_CLIPS = 12


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


def make_results(
    warp_errors: dict[str, list[float]], *, reference: str | None = "anchors", **known: object
) -> Results:
    """Results with these warp errors by method, a clip each, and a PSNR that mirrors them."""
    cases = [
        Case(
            clip=f"clip {i}", instruction="make it night", method=method, seed=i,
            scores=Scores(
                {"warp_error": value, "psnr_db": 20 - 1000 * value},
                {"tem_con": "needs a CLIP model"},
                {"warp_error": [value, None, value], "drift": [0.0, value, value, 0.0]},
            ),
            seconds=1.5,
        )
        for method, values in warp_errors.items()
        for i, value in enumerate(values)
    ]  # fmt: skip
    return Results(
        title="made by hand", methods=list(warp_errors), reference=reference, cases=cases, **known
    )


@pytest.fixture(scope="session")
def results() -> Results:
    """Twelve clips in which anchors are steadier throughout."""
    flicker = [0.004 + 0.0003 * i for i in range(NUM_CLIPS)]
    return make_results({"alone": flicker, "anchors": [value / 4 for value in flicker]})


@pytest.fixture(scope="session")
def pan() -> torch.Tensor:
    """A picture that moves right by whole pixels, (8,3,24,32)."""
    coarse = torch.rand(1, 3, 6, 16, generator=torch.Generator().manual_seed(0))
    wide = F.interpolate(coarse, (24, 64), mode="bicubic").clamp(0, 1)[0]
    starts = [24 - STEP_PX * t for t in range(NUM_FRAMES)]
    return torch.stack([wide[:, :, s : s + 32] for s in starts])
