"""benchmarks/speed/bench_levers.py: every lever is measured, put back, and changes no result."""

from __future__ import annotations

import pytest

from benchmarks.speed.bench_levers import LEVERS, measure
from fairy.editors.ip2p.pipeline import FairyPipeline
from tests.tiny import make_frames


@pytest.mark.parametrize("lever", [name for name in LEVERS if name != "compile"])
def test_a_lever_changes_no_result_and_is_put_back(tiny_pipeline, lever):
    pipe = FairyPipeline.from_pipe(tiny_pipeline)
    before = {name: id(module) for name, module in pipe.unet.named_modules()}
    row = measure(pipe, lever, make_frames(5, 12, 16), steps=1, repeats=1)
    assert row["difference"] <= 0.01
    assert row["least"] <= row["ratio"] <= row["most"]
    assert {name: id(module) for name, module in pipe.unet.named_modules()} == before
    assert all("forward" not in module.__dict__ for module in pipe.unet.modules())
