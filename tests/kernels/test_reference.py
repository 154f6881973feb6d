"""The float64 reference of anchor attention: the formula, and who reads whose anchors."""

from __future__ import annotations

import pytest
import torch

from fairy_kernels.reference import anchor_attention_reference, attention_reference
from fairy_kernels.testing import make_inputs


def test_equals_the_formula_for_one_row():
    q, k, v, k_anchor, v_anchor = make_inputs(1, 1, 5, 2, 1, 8, torch.float64)
    keys, values = torch.cat([k, k_anchor], 1)[0, :, 0], torch.cat([v, v_anchor], 1)[0, :, 0]
    expected = (q[0, :, 0] @ keys.T / 8**0.5).softmax(-1) @ values
    out = anchor_attention_reference(q, k, v, k_anchor, v_anchor)
    assert torch.allclose(out[0, :, 0], expected, atol=1e-14)


def test_frame_reads_anchors_of_its_own_group():
    q, k, v, k_anchor, v_anchor = make_inputs(2, 3, 16, 1, 1, 16)
    before = anchor_attention_reference(q, k, v, k_anchor, v_anchor)
    v_anchor[1] += 1.0
    after = anchor_attention_reference(q, k, v, k_anchor, v_anchor)
    assert torch.equal(before[:3], after[:3])
    assert (before[3:] != after[3:]).all()


def test_anchor_equal_to_the_frame_changes_nothing():
    q, k, v, _, _ = make_inputs(1, 1, 7, 1, 2, 24, torch.float64)
    out = anchor_attention_reference(q, k, v, k, v)
    assert torch.allclose(out, attention_reference(q, k, v), atol=1e-14)


def test_large_scores_do_not_overflow():
    inputs = make_inputs(1, 2, 9, 2, 2, 8, torch.float16, scale=100.0)
    assert anchor_attention_reference(*inputs).isfinite().all()


def test_result_has_the_dtype_of_q():
    assert anchor_attention_reference(*make_inputs(1, 1, 4, 1, 1, 8, torch.bfloat16)).dtype == (
        torch.bfloat16
    )


def test_rows_that_do_not_divide_among_groups_are_refused():
    q, k, v, k_anchor, v_anchor = make_inputs(2, 3, 4, 1, 1, 8)
    with pytest.raises(ValueError, match="batch 5 is not a multiple of the 2 anchor groups"):
        anchor_attention_reference(q[:5], k[:5], v[:5], k_anchor, v_anchor)
