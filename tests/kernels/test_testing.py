"""The helpers of kernel tests must themselves be able to fail."""

from __future__ import annotations

import torch

from fairy_kernels.sdpa import anchor_attention_concatenated
from fairy_kernels.testing import (
    allowed_error,
    make_inputs,
    max_error,
)


def test_plain_attention_is_allowed():
    inputs = make_inputs(3, 2, 61, 3, 2, 24)
    assert max_error(anchor_attention_concatenated(*inputs), inputs) <= allowed_error(inputs)


def test_one_forgotten_key_is_not_allowed():
    inputs = make_inputs(3, 2, 61, 3, 2, 24)
    shorter = inputs._replace(
        k_anchor=inputs.k_anchor[:, 1:].contiguous(), v_anchor=inputs.v_anchor[:, 1:].contiguous()
    )
    assert max_error(anchor_attention_concatenated(*shorter), inputs) > allowed_error(inputs)


def test_inputs_are_the_same_for_the_same_seed():
    for one, other in zip(
        make_inputs(1, 2, 3, 1, 1, 8), make_inputs(1, 2, 3, 1, 1, 8), strict=True
    ):
        assert torch.equal(one, other)
