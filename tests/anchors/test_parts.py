"""Attention over parts of keys: merged and by kernel as concatenated; biases are factors."""

from __future__ import annotations

import math

import pytest
import torch

from fairy.anchors.parts import (
    Part,
    attend_by_kernel,
    attend_concatenated,
    attend_merged,
    attention_of_parts,
)
from fairy_kernels.availability import why_not
from fairy_kernels.reference import attention_reference

CPU = torch.device("cpu")


def make(*lengths: int, dim: int = 16) -> tuple[torch.Tensor, list[tuple]]:
    torch.manual_seed(0)
    q = torch.randn(2, 5, 3, dim)
    return q, [(torch.randn(2, n, 3, dim), torch.randn(2, n, 3, dim)) for n in lengths]


def test_without_biases_it_is_attention_to_all_keys():
    q, ((k1, v1), (k2, v2)) = make(4, 7)
    expected = attention_reference(q, torch.cat([k1, k2], 1), torch.cat([v1, v2], 1))
    for attend in (attend_concatenated, attend_merged):
        torch.testing.assert_close(attend(q, [Part(k1, v1), Part(k2, v2)]), expected)


def test_a_bias_of_log_2_is_the_part_twice():
    q, ((k1, v1), (k2, v2)) = make(4, 7)
    twice = attend_concatenated(q, [Part(k1, v1), Part(k2, v2), Part(k2, v2)])
    biased = [Part(k1, v1), Part(k2, v2, math.log(2))]
    for attend in (attend_concatenated, attend_merged):
        torch.testing.assert_close(attend(q, biased), twice)


def test_merged_is_concatenated_with_three_biases_and_a_scale():
    q, rows = make(4, 7, 3)
    parts = [Part(*row, bias) for row, bias in zip(rows, (0.0, -1.5, 0.7), strict=True)]
    expected = attend_concatenated(q, parts, scale=0.3)
    torch.testing.assert_close(attend_merged(q, parts, scale=0.3), expected)


def test_reference_computes_in_float64():
    q, rows = make(4, 7)
    parts = [Part(*rows[0], 0.4), Part(*rows[1])]
    exact = attention_of_parts("reference", CPU)(q.double(), [
        Part(k.double(), v.double(), bias) for (k, v), bias in zip(rows, (0.4, 0.0), strict=True)
    ])  # fmt: skip
    assert torch.equal(attention_of_parts("reference", CPU)(q, parts), exact.float())


@pytest.mark.parametrize("attend", [attend_concatenated, attend_merged])
@pytest.mark.parametrize("additive", [False, True])
def test_masked_keys_have_no_weight(attend, additive):
    q, ((k1, v1), (k2, v2)) = make(4, 7)
    mask = torch.tensor([True, True, False, False]).expand(2, 1, 1, 4)
    expected = attend_concatenated(q, [Part(k1[:, :2], v1[:, :2], 0.5), Part(k2, v2)])
    if additive:
        mask = torch.zeros(mask.shape).masked_fill(~mask, -math.inf)
    torch.testing.assert_close(attend(q, [Part(k1, v1, 0.5, mask), Part(k2, v2)]), expected)


@pytest.mark.skipif(why_not(CPU, {16}) is not None, reason=str(why_not(CPU, {16})))
@pytest.mark.parametrize("biases", [(0.0, 0.0), (0.7, 0.0), (0.0, -0.4)])
def test_the_kernel_takes_two_biases(biases):
    q, rows = make(4, 7)
    parts = [Part(*row, bias) for row, bias in zip(rows, biases, strict=True)]
    torch.testing.assert_close(
        attend_by_kernel(q, parts), attend_concatenated(q, parts), atol=2e-3, rtol=2e-3
    )


def test_the_kernel_refuses_three():
    q, rows = make(4, 7, 3)
    parts = [Part(*row, bias) for row, bias in zip(rows, (0.0, 1.0, 2.0), strict=True)]
    with pytest.raises(ValueError, match="use sdpa"):
        attend_by_kernel(q, parts)
