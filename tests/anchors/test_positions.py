"""Keys moved after the fact are the keys of tokens elsewhere."""

from __future__ import annotations

import torch

from fairy.anchors.positions import Rope, anchor_offset, damp, rotate

ROPE = Rope(axes=(4, 6, 6), theta=10000.0, plane_step=10.0)


def placed(k: torch.Tensor, place: tuple[float, ...]) -> torch.Tensor:
    """Return keys turned to `place` as complex numbers: the definition."""
    turns = [
        torch.polar(torch.ones_like(f), f * x)
        for f, x in zip(ROPE.frequencies(), place, strict=True)
    ]
    pairs = torch.view_as_complex(k.double().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.cat(turns)).flatten(-2).float()


def test_a_rotated_key_is_the_key_of_another_place():
    k = torch.randn(2, 3, 1, 16)
    moved = rotate(placed(k, (0, 3, 5)), ROPE, (10, 0, 7))
    torch.testing.assert_close(moved, placed(k, (10, 3, 12)), atol=1e-6, rtol=1e-5)


def test_offsets():
    assert anchor_offset(ROPE, "same", 1, 24) == (0, 0, 0)
    assert anchor_offset(ROPE, "shift", 1, 24) == (0, 0, 24)
    # The frame's own source is 10 away, the first anchor 20, the second 30
    assert [anchor_offset(ROPE, "source", n, 24)[0] for n in (0, 1)] == [20, 30]


def test_damping_scales_the_finest_positions_and_commutes_with_turning():
    k = torch.randn(2, 3, 1, 16)
    damped = damp(k, ROPE, 0.25)
    torch.testing.assert_close(damped[..., 4:6], 0.25 * k[..., 4:6])
    assert torch.equal(damped[..., :4], k[..., :4])
    assert (damped[..., 8:10] / k[..., 8:10] > 0.99).all()
    torch.testing.assert_close(
        damp(rotate(k, ROPE, (1, 2, 3)), ROPE, 0.25), rotate(damped, ROPE, (1, 2, 3))
    )
    assert torch.equal(damp(k, ROPE, 1.0), k)
