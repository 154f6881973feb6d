"""Every way to compute anchor attention against the float64 reference, and the choice of one."""

from __future__ import annotations

import logging

import pytest
import torch

from fairy.editing.backends import (
    anchor_attention_concatenated,
    anchor_attention_merged,
    choose_backend,
)
from fairy.errors import SettingsError
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


def test_auto_says_why(caplog):
    with caplog.at_level(logging.INFO):
        backend = choose_backend("auto", CPU)
    assert backend.name == "sdpa"
    assert "not available yet" in backend.reason
    assert backend.reason in caplog.text


@pytest.mark.parametrize("name", ["sdpa", "reference"])
def test_backend_asked_for_is_taken(name):
    assert choose_backend(name, CPU).name == name


@pytest.mark.parametrize("name", ["triton", "flash"])
def test_backend_that_cannot_run_is_refused(name):
    with pytest.raises(SettingsError, match=name):
        choose_backend(name, CPU)
