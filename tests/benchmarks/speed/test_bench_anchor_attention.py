"""benchmarks/speed/bench_anchor_attention.py on a CPU: every way is checked before it is timed."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.speed import bench_anchor_attention as bench
from fairy_kernels.sdpa import anchor_attention_concatenated
from fairy_kernels.testing import make_inputs

BOUNDS = {"flops_per_s": 1e11}


@pytest.fixture
def inputs():
    return make_inputs(1, 2, 24, 1, 2, 16, torch.float32, device=torch.device("cpu"))


def test_each_shape_has_a_row_for_each_way(monkeypatch, capsys):
    monkeypatch.setattr(bench, "CPU_SHAPES", [(1, 2, 24, 1, 2, 16)])
    bench.main(["--device", "cpu"])
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["way"] for row in document["rows"]] == ["concat", "merged"]
    for row in document["rows"]:
        assert row["ms 0.2"] <= row["ms"] <= row["ms 0.8"]
        assert row["error"] <= row["limit"] and row["note"] == ""


def test_a_way_with_too_large_an_error_is_not_timed(inputs):
    row = bench.time(lambda *given: anchor_attention_concatenated(*given) + 0.1, inputs, BOUNDS)
    assert row["note"].startswith("REFUSED") and row["ms"] == ""


def test_a_way_that_does_not_run_gives_the_reason(inputs):
    def fails(*given):
        raise RuntimeError("no such kernel\nmore")

    assert bench.time(fails, inputs, BOUNDS)["note"] == "does not run: no such kernel"
