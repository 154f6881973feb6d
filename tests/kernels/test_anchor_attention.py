"""The Triton kernel, run by Triton's interpreter, against the float64 reference.

The interpreter needs some 20 ms a tile, so shapes are small and so are the blocks: every seam
between tiles, rows, frames, groups and heads is crossed. bfloat16 is wrong in the interpreter; it
is tested on a GPU (test_anchor_attention_gpu.py).
"""

from __future__ import annotations

import math

import pytest
import torch

pytest.importorskip("triton")

from fairy_kernels import anchor_attention as module
from fairy_kernels.anchor_attention import anchor_attention, attention
from fairy_kernels.availability import interpreted
from fairy_kernels.launch_config import LaunchConfig
from fairy_kernels.reference import anchor_attention_reference, attention_reference
from fairy_kernels.testing import Inputs, allowed_error, make_inputs, max_error

pytestmark = [
    pytest.mark.skipif(not interpreted(), reason="needs TRITON_INTERPRET=1"),
    # numpy warns of what a GPU does silently: the tests overflow on purpose
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

ONLINE = LaunchConfig(block_m=16, block_n=16, num_warps=4, num_stages=1, fixed_shift=False)
FIXED = LaunchConfig(block_m=16, block_n=16, num_warps=4, num_stages=1, fixed_shift=True)
CONFIGS = pytest.mark.parametrize("config", [ONLINE, FIXED], ids=["online", "fixed"])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
# (G, F, N, A, H, D): padded, cut in two powers, odd; none larger than three tiles a program
SHAPES = [(2, 1, 16, 1, 1, 8), (1, 2, 19, 1, 2, 24), (1, 1, 33, 1, 1, 40), (1, 1, 17, 2, 1, 160)]


def launch(inputs: Inputs, config=FIXED, *, scale=None, anchor_bias=0.0) -> torch.Tensor:
    """Run the kernel with settings of ours; `module.kernel` may be a mutant (test_mutations.py)."""
    scale = inputs.q.shape[-1] ** -0.5 if scale is None else scale
    return module.kernel.launch(*inputs, scale=scale, anchor_bias=anchor_bias, config=config)


def assert_equals_reference(inputs: Inputs, config=FIXED, **numbers: float) -> None:
    error = max_error(launch(inputs, config, **numbers), inputs, **numbers)
    assert error <= allowed_error(inputs, **numbers)


@CONFIGS
@DTYPES
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_reference(shape, dtype, config):
    assert_equals_reference(make_inputs(*shape, dtype), config)


def test_two_groups_two_frames_two_heads():
    assert_equals_reference(make_inputs(2, 2, 9, 1, 2, 16))


def test_padded_head_dim_equals_the_reference():
    assert_equals_reference(
        make_inputs(1, 1, 20, 1, 1, 40),
        LaunchConfig(block_m=32, block_n=16, num_warps=4, num_stages=1, split=False),
    )


def test_queries_and_keys_may_differ_in_number():
    inputs = make_inputs(1, 2, 21, 1, 1, 16)
    assert_equals_reference(inputs._replace(q=inputs.q[:, :18]))


def test_any_number_of_anchor_keys():
    inputs = make_inputs(2, 1, 16, 2, 1, 16)
    odd = [tensor[:, :21].clone() for tensor in inputs[3:]]
    assert_equals_reference(inputs._replace(k_anchor=odd[0], v_anchor=odd[1]))


@CONFIGS
def test_no_anchors_is_plain_attention(config):
    inputs = make_inputs(1, 2, 18, 1, 1, 24)
    none = inputs._replace(k_anchor=inputs.k_anchor[:, :0], v_anchor=inputs.v_anchor[:, :0])
    expected = attention_reference(*(tensor.double() for tensor in none[:3]))
    assert (launch(none, config) - expected).abs().max() <= allowed_error(none)


def test_frame_reads_anchors_of_its_own_group():
    inputs = make_inputs(2, 2, 8, 1, 1, 16)
    before = launch(inputs)
    inputs.v_anchor[1] += 1.0
    change = (launch(inputs) - before).abs()
    assert change[:2].max() < 1e-5
    assert change[2:].min() > 1e-3


def test_frame_reads_its_own_keys():
    inputs = make_inputs(1, 3, 8, 1, 1, 16)
    before = launch(inputs)
    inputs.v[1] += 1.0
    change = (launch(inputs) - before).abs()
    assert change[[0, 2]].max() < 1e-5
    assert change[1].min() > 1e-3


def test_scale_is_the_scores_factor():
    assert_equals_reference(make_inputs(1, 1, 16, 1, 1, 16), scale=0.7)


@CONFIGS
@pytest.mark.parametrize("anchor_bias", [math.log(0.25), math.log(3.0)])
def test_anchor_bias_is_added_to_the_anchors_scores(anchor_bias, config):
    assert_equals_reference(make_inputs(1, 1, 19, 2, 1, 16), config, anchor_bias=anchor_bias)


@DTYPES
@CONFIGS
def test_large_scores_do_not_overflow(config, dtype):
    # Products of about 1e4 before scaling
    inputs = make_inputs(1, 1, 33, 1, 1, 16, dtype, scale=50.0)
    scores = torch.einsum("bnhd,bmhd->bhnm", inputs.q.double(), inputs.k.double())
    assert scores.abs().max() > 1e4
    assert_equals_reference(inputs, config)


def far_key(dtype: torch.dtype, score: float) -> Inputs:
    """Return inputs whose last anchor key scores `score` more than those around the queries."""
    inputs = make_inputs(1, 1, 16, 2, 1, 16, dtype)
    inputs.q[..., 0] = 16.0
    inputs.k_anchor[:, -1, :, 0] = score / 4
    return inputs


# exp(40) overflows in float16, exp(400) in float32
@CONFIGS
@DTYPES
@pytest.mark.parametrize("score", [40.0, 400.0])
def test_one_key_dominates(score, dtype, config):
    inputs = far_key(dtype, score)
    assert_equals_reference(inputs, config)
    assert torch.allclose(launch(inputs, config), inputs.v_anchor[:, -1:].expand_as(inputs.q))


@pytest.mark.parametrize(("dtype", "score"), [(torch.float32, 400.0), (torch.float16, 40.0)])
def test_without_the_guard_a_fixed_shift_overflows(dtype, score, monkeypatch):
    monkeypatch.setattr(module.kernel, "MAX_TOTAL", {dtype: math.inf})
    assert not launch(far_key(dtype, score), FIXED).isfinite().all()
    assert launch(far_key(dtype, score), ONLINE).isfinite().all()


@CONFIGS
def test_equal_keys_give_the_mean_of_the_values(config):
    inputs = make_inputs(1, 1, 18, 1, 1, 16)
    inputs = inputs._replace(
        k=inputs.k[:, :1].expand_as(inputs.k), k_anchor=inputs.k[:, :1].expand_as(inputs.k)
    )
    mean = torch.cat([inputs.v, inputs.v_anchor], dim=1).mean(dim=1, keepdim=True)
    assert torch.allclose(launch(inputs, config), mean.expand_as(inputs.q), atol=1e-6)


# What is NaN in the input, and which outputs (row, token, head, channel) it may reach
NAN_REACH = {
    "q": ((0, 3, 1, 2), (0, 3, 1, slice(None))),
    "k": ((0, 3, 1, 2), (0, slice(None), 1, slice(None))),
    "v": ((0, 3, 1, 2), (0, slice(None), 1, 2)),
    "k_anchor": ((1, 3, 0, 2), (slice(2, 4), slice(None), 0, slice(None))),
    "v_anchor": ((1, 3, 0, 2), (slice(2, 4), slice(None), 0, 2)),
}


@CONFIGS
@pytest.mark.parametrize("name", NAN_REACH)
def test_nan_reaches_what_depends_on_it_and_nothing_else(name, config):
    inputs = make_inputs(2, 2, 6, 1, 2, 16)
    place, reach = NAN_REACH[name]
    getattr(inputs, name)[place] = math.nan
    expected = torch.zeros(inputs.q.shape, dtype=torch.bool)
    expected[reach] = True
    assert torch.equal(launch(inputs, config).isnan(), expected)


def inside_nan(tensor: torch.Tensor) -> torch.Tensor:
    """Return the same values as a view of a larger tensor of NaN, in every dimension."""
    larger = torch.full([size + 8 for size in tensor.shape], math.nan, dtype=tensor.dtype)
    view = larger[tuple(slice(0, size) for size in tensor.shape)]
    return view.copy_(tensor)


@CONFIGS
def test_nothing_outside_the_tensors_is_read(config):
    inputs = make_inputs(1, 1, 19, 1, 1, 40)
    assert_equals_reference(Inputs(*map(inside_nan, inputs)), config)


def test_every_output_is_written(monkeypatch):
    inputs = make_inputs(1, 2, 19, 1, 2, 24)
    poisoned = torch.full(inputs.q.shape, math.nan)
    monkeypatch.setattr(module.kernel.torch, "empty", lambda *args, **kwargs: poisoned)
    assert launch(inputs).isfinite().all()


def test_views_of_a_joint_projection_are_read_in_place():
    joint = torch.randn(2, 17, 3, 2, 24)
    q, k, v = joint.unbind(2)
    assert all(module.kernel.readable(tensor) is tensor for tensor in (q, k, v))
    assert_equals_reference(Inputs(q, k, v, k[:1, :9].clone(), v[:1, :9].clone()))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),  # channels not side by side
        lambda x: torch.cat([x, x], dim=-1)[..., 4:20].contiguous()[..., :16],
        lambda x: torch.cat([x, x[..., :4]], dim=-1)[..., :16],  # strides not of 8 elements
        lambda x: torch.cat([x.flatten()[:1], x.flatten()])[1:].view(x.shape),  # not on 16 bytes
    ],
)
def test_other_views_are_read_rightly(view):
    inputs = make_inputs(1, 1, 9, 1, 2, 16)
    assert_equals_reference(Inputs(*map(view, inputs)))


def test_public_function_runs_the_kernel():
    inputs = make_inputs(2, 1, 9, 1, 1, 16)
    assert max_error(anchor_attention(*inputs), inputs) <= allowed_error(inputs)


def test_anchor_bias_of_minus_infinity_leaves_the_anchors_out():
    inputs = make_inputs(1, 1, 9, 1, 1, 16)
    expected = attention_reference(*inputs[:3])
    assert torch.allclose(anchor_attention(*inputs, anchor_bias=-math.inf), expected, atol=1e-6)


def test_attention_is_plain_attention():
    inputs = make_inputs(1, 1, 9, 3, 1, 16)
    out = attention(inputs.q, inputs.k_anchor, inputs.v_anchor)
    expected = attention_reference(inputs.q, inputs.k_anchor, inputs.v_anchor)
    assert torch.allclose(out, expected, atol=1e-6)


def test_operator_keeps_torchs_rules():
    torch.library.opcheck(module.anchor_attention_op, (*make_inputs(1, 1, 5, 1, 1, 16), 0.25, 0.0))


def test_compiles_as_one_graph():
    inputs = make_inputs(1, 1, 9, 1, 1, 16)
    compiled = torch.compile(
        lambda *args: anchor_attention(*args) * 2, fullgraph=True, backend="aot_eager"
    )
    expected = 2 * anchor_attention_reference(*inputs)
    assert torch.allclose(compiled(*inputs), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "numbers", "words"),
    [
        ({"k": (3, 4, 1, 16)}, {}, "k is"),
        ({"v": (2, 5, 1, 16)}, {}, "v is"),
        ({"v_anchor": (1, 5, 1, 16)}, {}, "v_anchor is"),
        ({"k_anchor": (3, 4, 1, 16)}, {}, "not a multiple of the 3 anchor groups"),
        ({"k": (2, 0, 1, 16)}, {}, "no keys"),
        ({}, {"scale": 0.0}, "scale 0.0"),
        ({}, {"scale": math.nan}, "scale nan"),
        ({}, {"anchor_bias": math.inf}, "anchor_bias inf"),
        ({}, {"anchor_bias": math.nan}, "anchor_bias nan"),
    ],
)
def test_what_does_not_go_together_is_refused(changes, numbers, words):
    inputs = make_inputs(1, 2, 4, 1, 1, 16)
    inputs = inputs._replace(**{name: torch.zeros(shape) for name, shape in changes.items()})
    with pytest.raises(ValueError, match=words):
        anchor_attention(*inputs, **numbers)


@pytest.mark.parametrize("head_dim", [12, 264])
def test_other_head_dims_are_refused(head_dim):
    with pytest.raises(ValueError, match=f"head dim {head_dim}"):
        anchor_attention(*make_inputs(1, 1, 4, 1, 1, head_dim))


def test_other_dtypes_are_refused():
    with pytest.raises(ValueError, match=r"dtype torch.float64"):
        anchor_attention(*make_inputs(1, 1, 4, 1, 1, 16, torch.float64))


def test_mixed_dtypes_are_refused():
    inputs = make_inputs(1, 1, 4, 1, 1, 16)
    with pytest.raises(ValueError, match=r"v is torch.float16"):
        anchor_attention(*inputs._replace(v=inputs.v.half()))
