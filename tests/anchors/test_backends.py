"""Every way to compute anchor attention against the float64 reference, and the choice of one."""

from __future__ import annotations

import logging

import pytest
import torch

from fairy.anchors import backends
from fairy.anchors.backends import (
    anchor_attention_merged,
    choose_backend,
)
from fairy.errors import SettingsError
from fairy_kernels.reference import attention_reference
from fairy_kernels.sdpa import anchor_attention_concatenated
from fairy_kernels.testing import allowed_error, make_inputs, max_error

CPU = torch.device("cpu")
WAYS = [anchor_attention_concatenated, anchor_attention_merged]
# (G, F, N, A, H, D): ordinary and odd
SHAPES = [(1, 1, 16, 1, 1, 8), (3, 2, 64, 3, 2, 40), (2, 3, 61, 2, 3, 24), (1, 5, 1, 3, 2, 16)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equals_the_reference(way, shape, dtype):
    inputs = make_inputs(*shape, dtype)
    assert max_error(way(*inputs), inputs) <= allowed_error(inputs)


@pytest.mark.parametrize("way", WAYS)
def test_sharp_softmax_equals_the_reference(way):
    inputs = make_inputs(2, 2, 33, 2, 2, 16, scale=30.0)
    assert max_error(way(*inputs), inputs) <= allowed_error(inputs)


@pytest.mark.parametrize("way", WAYS)
def test_frame_reads_anchors_of_its_own_group(way):
    q, k, v, k_anchor, v_anchor = make_inputs(2, 3, 16, 1, 1, 16)
    before = way(q, k, v, k_anchor, v_anchor)
    v_anchor[1] += 1.0
    after = way(q, k, v, k_anchor, v_anchor)
    assert torch.equal(before[:3], after[:3])
    assert (before[3:] != after[3:]).all()


def test_merged_copies_no_anchors():
    inputs = make_inputs(1, 4, 128, 3, 2, 16)
    addresses = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if "flash" in func.__name__:
                addresses.append(args[1].untyped_storage().data_ptr())
            return func(*args, **(kwargs or {}))

    with Watch():
        anchor_attention_merged(*inputs)
    assert sorted(addresses) == sorted(
        t.untyped_storage().data_ptr() for t in (inputs.k, inputs.k_anchor)
    )


@pytest.mark.parametrize("num_tokens", [1, 3, 12, 61])
def test_a_frame_does_not_depend_on_those_beside_it(num_tokens):
    attend = choose_backend("auto", CPU).attend_anchors
    q, k, v, k_anchor, v_anchor = make_inputs(1, 7, num_tokens, 3, 2, 16)
    together = attend(q, k, v, k_anchor, v_anchor)
    for f in range(7):
        alone = attend(q[f : f + 1], k[f : f + 1], v[f : f + 1], k_anchor, v_anchor)
        # Not to the bit everywhere: a matrix library may round by where its buffers lie.
        assert torch.allclose(alone, together[f : f + 1], rtol=0, atol=1e-6)


def test_on_a_processor_auto_takes_sdpa_and_says_why(caplog):
    with caplog.at_level(logging.INFO):
        backend = choose_backend("auto", CPU)
    assert backend.name == "sdpa"
    assert "Triton" in backend.reason
    assert backend.reason in caplog.text


@pytest.mark.parametrize("name", ["sdpa", "reference"])
def test_backend_asked_for_is_taken(name):
    assert choose_backend(name, CPU).name == name


def test_unknown_backend_is_refused():
    with pytest.raises(SettingsError, match="flash"):
        choose_backend("flash", CPU)


def test_triton_is_refused_where_it_cannot_run(monkeypatch):
    monkeypatch.setattr(backends, "why_not", lambda device, head_dims: "Triton is not installed")
    with pytest.raises(SettingsError, match="'triton' cannot run: Triton is not installed"):
        choose_backend("triton", CPU)


def test_triton_is_refused_for_head_dims_it_does_not_take():
    pytest.importorskip("triton")
    with pytest.raises(SettingsError, match="head dim 20"):
        choose_backend("triton", CPU, head_dims=[16, 20])


@pytest.mark.parametrize(("reason", "name"), [(None, "triton"), ("unmeasured", "sdpa")])
def test_auto_takes_triton_where_it_is_faster(reason, name, monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setattr(backends, "why_not_chosen", lambda device, head_dims: reason)
    assert choose_backend("auto", CPU).name == name


@pytest.mark.parametrize("name", ["triton", "sdpa", "reference"])
@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0, 3.0])
def test_every_backend_multiplies_the_anchors_weights_by_their_strength(name, strength):
    if name == "triton":
        pytest.importorskip("triton")
    inputs = make_inputs(1, 1, 5, 1, 1, 16)
    out = choose_backend(name, CPU, strength=strength).attend_anchors(*inputs)
    q, k, v, k_anchor, v_anchor = (tensor[0, :, 0].double() for tensor in inputs)
    own, anchor = (q @ k.T / 4).exp(), strength * (q @ k_anchor.T / 4).exp()
    total = own.sum(-1) + anchor.sum(-1)
    expected = (own @ v + anchor @ v_anchor) / total[:, None]
    assert torch.allclose(out[0, :, 0].double(), expected, atol=1e-6)


def test_merging_multiplies_the_anchors_weights_too():
    inputs = make_inputs(2, 2, 9, 1, 1, 16)
    out = anchor_attention_merged(*inputs, anchor_bias=-1.0)
    assert max_error(out, inputs, anchor_bias=-1.0) <= allowed_error(inputs, anchor_bias=-1.0)


@pytest.mark.parametrize("name", ["triton", "sdpa", "reference"])
def test_anchors_among_themselves_attend_plainly(name):
    if name == "triton":
        pytest.importorskip("triton")
    q, k, v, _, _ = make_inputs(1, 1, 7, 1, 2, 16)
    out = choose_backend(name, CPU, strength=0.0).attend(q, k, v)
    assert torch.allclose(out, attention_reference(q, k, v), atol=1e-6)
