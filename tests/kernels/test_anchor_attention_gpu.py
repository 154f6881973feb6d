"""The kernel compiled, on a CUDA device: real shapes, bfloat16, graphs, more than 2^31 elements.

Run by `make test-gpu`, which has Triton compile instead of interpret.
"""

from __future__ import annotations

import math

import pytest
import torch

pytest.importorskip("triton")

from fairy_kernels.anchor_attention import anchor_attention, attention
from fairy_kernels.availability import interpreted
from fairy_kernels.reference import attention_reference
from fairy_kernels.testing import Inputs, allowed_error, make_inputs, max_error, sampled

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.skipif(interpreted(), reason="make test-gpu has Triton compile"),
]
DTYPES = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
# (G, F, N, A, H, D): the levels of SD 1.5 at 512×384, SDXL-class heads, and odd ones
SHAPES = [
    (3, 2, 3072, 3, 8, 40),
    (3, 2, 768, 3, 8, 80),
    (3, 2, 192, 3, 8, 160),
    (3, 2, 48, 3, 8, 160),
    (1, 2, 1024, 3, 10, 64),
    (1, 2, 500, 1, 4, 128),
    (2, 3, 61, 2, 3, 24),
    (1, 1, 1, 1, 1, 8),
    (1, 2, 129, 3, 2, 256),
]


def assert_right(out: torch.Tensor, inputs: Inputs, **numbers: float) -> None:
    index, part = sampled(inputs)
    assert max_error(out[index], part, **numbers) <= allowed_error(part, **numbers)


@DTYPES
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_reference(shape, dtype):
    inputs = make_inputs(*shape, dtype, device="cuda")
    assert_right(anchor_attention(*inputs), inputs)


@DTYPES
def test_large_scores_do_not_overflow(dtype):
    inputs = make_inputs(1, 2, 300, 2, 2, 40, dtype, device="cuda", scale=40.0)
    assert_right(anchor_attention(*inputs), inputs)


@DTYPES
@pytest.mark.parametrize("score", [40.0, 400.0])
def test_one_anchor_key_dominates(dtype, score):
    inputs = make_inputs(1, 1, 256, 2, 1, 64, dtype, device="cuda")
    inputs.q[..., 0] = 16.0
    inputs.k_anchor[:, -1, :, 0] = score / 2
    assert_right(anchor_attention(*inputs), inputs)


@DTYPES
def test_anchor_bias_is_added_to_the_anchors_scores(dtype):
    inputs = make_inputs(2, 2, 100, 2, 2, 40, dtype, device="cuda")
    assert_right(anchor_attention(*inputs, anchor_bias=-1.0), inputs, anchor_bias=-1.0)


@DTYPES
def test_nan_of_one_query_reaches_its_own_output_alone(dtype):
    inputs = make_inputs(1, 2, 200, 2, 2, 40, dtype, device="cuda")
    inputs.q[0, 3, 1, 2] = math.nan
    expected = torch.zeros(inputs.q.shape, dtype=torch.bool, device="cuda")
    expected[0, 3, 1] = True
    assert torch.equal(anchor_attention(*inputs).isnan(), expected)


@DTYPES
def test_every_output_is_written(dtype):
    inputs = make_inputs(1, 2, 200, 2, 2, 40, dtype, device="cuda")
    # The allocator hands the poison out again
    poison = torch.full_like(inputs.q, math.nan)
    del poison
    assert anchor_attention(*inputs).isfinite().all()


def test_views_of_a_joint_projection_are_read_in_place():
    joint = torch.randn(4, 768, 3, 8, 80, device="cuda", dtype=torch.bfloat16)
    q, k, v = joint.unbind(2)
    inputs = Inputs(q, k, v, k[:1], v[:1])
    before = torch.cuda.memory_allocated()
    out = anchor_attention(*inputs)
    assert torch.cuda.memory_allocated() - before == out.nbytes
    assert_right(out, inputs)


def test_anchors_own_pass_is_plain_attention():
    inputs = make_inputs(3, 1, 768, 1, 8, 80, torch.bfloat16, device="cuda")
    out, expected = attention(*inputs[:3]), attention_reference(*inputs[:3])
    assert (out - expected).abs().max() <= allowed_error(inputs)


def test_compiles_as_one_graph():
    inputs = make_inputs(3, 2, 192, 3, 8, 160, torch.bfloat16, device="cuda")
    compiled = torch.compile(lambda *args: anchor_attention(*args) + 0.0, fullgraph=True)
    assert_right(compiled(*inputs), inputs)


def test_is_replayed_by_a_cuda_graph():
    inputs = make_inputs(1, 2, 192, 3, 8, 80, torch.bfloat16, device="cuda")
    anchor_attention(*inputs)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = anchor_attention(*inputs)
    inputs.v.mul_(2.0)
    graph.replay()
    torch.cuda.synchronize()
    assert_right(out, inputs)


def test_more_than_two_to_the_31_elements():
    if torch.cuda.mem_get_info()[0] < 24e9:
        pytest.skip("needs 24 GB of free memory")
    rows = torch.randn(2200, 3072, 8, 40, device="cuda", dtype=torch.bfloat16)
    assert rows.numel() > 2**31
    inputs = Inputs(rows, rows, rows, rows[:1], rows[:1])
    assert_right(anchor_attention(*inputs), inputs)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_runs_where_the_tensors_are():
    inputs = make_inputs(1, 2, 192, 1, 8, 40, torch.bfloat16, device="cuda:1")
    assert_right(anchor_attention(*inputs), inputs)
