"""Merged anchors: tokens that are alike lose nothing, and only the top level is merged."""

from __future__ import annotations

import pytest
import torch

from fairy.anchors.backends import choose_backend
from fairy.anchors.cache import load_anchors, save_anchors
from fairy.editors.ip2p.levers.anchor_merge import MergedCache, choose_merged_backend, merge_tokens

CPU = torch.device("cpu")
# Groups, anchors, (h, w), heads, head_dim
G, A, SIZE, H, D = 2, 3, (4, 6), 2, 8
NUM_TOKENS = SIZE[0] * SIZE[1]


def make_cache(side: int = 2) -> MergedCache:
    return MergedCache(CPU, CPU, num_anchors=A, size=SIZE, side=side)


def squares_alike(side: int) -> torch.Tensor:
    """Return keys or values (G,A*h*w,H,D), equal within each square of tokens."""
    coarse = torch.randn(G * A, H * D, -(-SIZE[0] // side), -(-SIZE[1] // side))
    fine = coarse.repeat_interleave(side, 2).repeat_interleave(side, 3)
    inside = fine[..., : SIZE[0], : SIZE[1]]
    return inside.permute(0, 2, 3, 1).reshape(G, A * NUM_TOKENS, H, D)


@pytest.mark.parametrize("name", ["sdpa", "reference"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_tokens_that_are_alike_weigh_merged_what_they_weighed_before(name, strength):
    q, k, v = (torch.randn(G * 5, NUM_TOKENS, H, D) for _ in range(3))
    k_anchor, v_anchor = squares_alike(2), squares_alike(2)
    whole = choose_backend(name, CPU, (), strength)
    expected = whole.attend_anchors(q, k, v, k_anchor, v_anchor)
    backend = choose_merged_backend(name, CPU, (), strength, num_anchors=A, side=2)
    merged = (merge_tokens(x, SIZE, 2) for x in (k_anchor, v_anchor))
    out = backend.attend_anchors(q, k, v, *merged)
    assert torch.allclose(out, expected, atol=1e-5)
    assert torch.allclose(backend.attend_anchors(q, k, v, k_anchor, v_anchor), expected, atol=1e-5)


@pytest.mark.parametrize(("side", "squares"), [(2, 2 * 3), (3, 2 * 2), (4, 1 * 2), (9, 1)])
def test_squares_at_the_edge_are_means_of_what_is_inside(side, squares):
    k = squares_alike(side)
    merged = merge_tokens(k, SIZE, side)
    assert merged.shape == (G, A * squares, H, D)
    # Row and column 0 of every square
    first = k.view(G, A, *SIZE, H, D)[:, :, ::side, ::side].reshape(merged.shape)
    assert torch.allclose(merged, first, atol=1e-6)


def test_only_the_top_level_is_merged():
    cache = make_cache()
    top, lower = torch.randn(G, A * NUM_TOKENS, H, D), torch.randn(G, A * NUM_TOKENS // 4, H, D)
    cache.put(0, "top", top, top)
    cache.put(0, "lower", lower, lower)
    assert torch.equal(cache.get(0, "top")[0], merge_tokens(top, SIZE, 2))
    assert torch.equal(cache.get(0, "lower")[0], lower)


def test_entries_from_a_file_are_not_merged_again(tmp_path):
    cache, again = make_cache(), make_cache()
    k = torch.randn(G, A * NUM_TOKENS, H, D)
    cache.put(0, "top", k, k)
    save_anchors(tmp_path / "anchors.safetensors", cache, {})
    load_anchors(tmp_path / "anchors.safetensors", again)
    assert torch.equal(again.get(0, "top")[0], cache.get(0, "top")[0])


def test_a_backend_made_elsewhere_cannot_weigh_merged_tokens():
    backend = choose_backend("sdpa", CPU)
    with pytest.raises(ValueError, match="name the backend"):
        choose_merged_backend(backend, CPU, (), 1.0, num_anchors=A, side=2)
    assert choose_merged_backend(backend, CPU, (), 1.0, num_anchors=A, side=1) is backend
