"""benchmarks/speed/bench_fusions.py: what is compared, and what is refused."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.activations import GEGLU

from benchmarks.speed import bench_fusions
from benchmarks.speed.bench_fusions import (
    geglu,
    group_norm_silu,
    main,
    measure,
    norm_inputs,
    refusal,
)


def test_geglu_is_diffusers():
    layer, x = GEGLU(8, 6), torch.randn(2, 3, 8)
    torch.testing.assert_close(geglu(layer.proj(x)), layer(x))


def test_norm_is_that_of_a_diffusers_block():
    x, groups, weight, bias = norm_inputs(2, 64, 4, 4)
    norm = torch.nn.GroupNorm(groups, 64)
    norm.weight.data, norm.bias.data = weight, bias
    torch.testing.assert_close(
        group_norm_silu(x, groups, weight, bias), torch.nn.functional.silu(norm(x))
    )


def test_a_wrong_candidate_is_refused():
    x = (torch.randn(2, 3, 8),)
    assert refusal(geglu, geglu, x) is None
    assert "REFUSED" in str(refusal(geglu, lambda x: geglu(x) * 1.001, x))
    assert "REFUSED" in str(refusal(geglu, lambda x: geglu(x) * float("nan"), x))


def test_a_row_says_how_near_the_least_traffic_comes_to_a_copy(monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setattr("triton.testing.do_bench", lambda work, **options: 2.0)
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    x = torch.randn(2, 3, 8)
    rows = measure("GEGLU", geglu, lambda x: geglu(x) + 1, (x,), x.nbytes * 1e3, reads=1)
    assert [row["way"] for row in rows] == ["eager", "compiled", "candidate"]
    # Once read, half of it written, in 2 ms at a rate of once in 1 ms
    assert rows[0]["% of a copy"] == pytest.approx(75)
    assert rows[2]["ms"] is None
    assert "REFUSED" in rows[2]["note"]


def test_without_a_gpu_it_says_so(capsys, tmp_path):
    if not torch.cuda.is_available():
        main(["--out", str(tmp_path / "out.json")])
        assert "nothing measured" in capsys.readouterr().out
        assert not (tmp_path / "out.json").exists()


def test_shapes_divide_into_groups():
    assert all(channels % bench_fusions.NUM_GROUPS == 0 for channels, _, _ in bench_fusions.NORMED)
