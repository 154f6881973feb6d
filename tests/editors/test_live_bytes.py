"""Bytes counted on the meta device are those that an allocator would count."""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention

from fairy.editors.live_bytes import counted

FLOAT = torch.float32.itemsize


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


def test_peak_is_what_is_held_at_once_not_the_sum():
    with counted() as live:
        rows = meta(100)
        for _ in range(10):
            rows = rows * 2
    assert live.peak == 2 * 100 * FLOAT
    assert live.now == 100 * FLOAT


def test_views_and_changes_in_place_are_nothing_new():
    with counted() as live:
        rows = meta(10, 10)
        rows.t().reshape(-1)[5:].view(-1)
        rows.add_(1)
    assert live.peak == 2 * 100 * FLOAT  # reshape of the transposed copies


def test_weights_made_before_are_not_counted():
    layer = torch.nn.Linear(1000, 10, device="meta")
    with counted() as live:
        layer(meta(1, 1000))
    assert live.peak == (1000 + 10) * FLOAT


def test_attention_holds_no_scores():
    with counted() as live:
        q = meta(1, 2, 500, 8)
        out = scaled_dot_product_attention(q, q, q)
    assert out.shape == q.shape
    assert live.peak == 2 * q.nbytes


def test_shortened_operators_have_the_shapes_of_the_real_ones():
    rows, weight = torch.rand(6, 8), torch.rand(4, 8)
    real = torch.nn.functional.linear(rows, weight, torch.rand(4))
    images = torch.rand(2, 8, 4, 4)
    with counted():
        product = torch.nn.functional.linear(meta(6, 8), meta(4, 8), meta(4))
        normed = torch.nn.functional.group_norm(images.to("meta"), 2)
        layer = torch.nn.functional.layer_norm(rows.to("meta"), (8,))
    assert product.shape == real.shape
    assert normed.shape == images.shape
    assert layer.shape == rows.shape
