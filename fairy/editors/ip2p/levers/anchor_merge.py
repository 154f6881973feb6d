"""Anchors seen more coarsely: squares of an anchor's tokens as one, at the UNet's top level.

There lie most of the tokens, and nearly all of the attention's work. A square's key and value are
the means of its n tokens', and log(n) on its score lets it weigh as much as they did together: for
tokens that are alike nothing changes. The idea of merging tokens is ToMe's (Bolya et al. 2023,
arXiv 2210.09461); merging fixed squares needs no matching.
Shapes: k, v (G,A*h*w,H,D) -> (G,M,H,D), M = A * ceil(h/side) * ceil(w/side).
Tests: tests/editors/ip2p/levers/test_anchor_merge.py.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from fairy.anchors.backends import Backend, choose_backend
from fairy.anchors.cache import AnchorCache


class MergedCache(AnchorCache):
    """An anchor cache that keeps the top level's keys and values merged.

    Args:
        device: where entries are kept.
        compute_device: where the model runs and entries are read.
        num_anchors: anchor frames A.
        size: (h, w) of the latents, and so of the top level's tokens.
        side: of the squares, in tokens; 1 for no merging.
    """

    def __init__(
        self,
        device: torch.device,
        compute_device: torch.device,
        *,
        num_anchors: int,
        size: tuple[int, int],
        side: int,
    ) -> None:
        super().__init__(device, compute_device)
        self._num_anchors, self._size, self._side = num_anchors, size, side

    def put(self, step: int, layer: str, k: Tensor, v: Tensor) -> None:
        """Keep k, v (G,M,H,D) for a step and layer, merged if they are the top level's."""
        if self._side > 1 and k.shape[1] == self._num_anchors * prod(self._size):
            k, v = (merge_tokens(x, self._size, self._side) for x in (k, v))
        super().put(step, layer, k, v)


def merge_tokens(x: Tensor, size: tuple[int, int], side: int) -> Tensor:
    """Return x (G,A*h*w,H,D) with squares of `side` by `side` tokens averaged, (G,M,H,D).

    Squares that reach over the edge are averaged over what is inside.
    """
    num_groups, _, heads, head_dim = x.shape
    images = x.reshape(-1, *size, heads * head_dim).permute(0, 3, 1, 2)
    merged = avg_pool2d(images, side, ceil_mode=True)
    return merged.permute(0, 2, 3, 1).reshape(num_groups, -1, heads, head_dim)


def choose_merged_backend(
    name: str | Backend,
    device: torch.device,
    head_dims: Collection[int],
    anchor_strength: float,
    *,
    num_anchors: int,
    side: int,
) -> Backend:
    """Return the backend for whole and for merged anchors, told apart by their number of tokens.

    Args:
        name: as of `choose_backend`, like the next three.
        device: where the model runs.
        head_dims: the head dimensions of the model's self-attention.
        anchor_strength: factor on the anchors' weights.
        num_anchors: anchor frames A.
        side: of the squares, in tokens; 1 for no merging.

    Raises:
        SettingsError: an unknown backend, or one that cannot run here.
        ValueError: merging, and a backend made elsewhere, which cannot weigh merged tokens.
    """
    plain = choose_backend(name, device, head_dims, anchor_strength)
    if side == 1:
        return plain
    if isinstance(name, Backend):
        raise ValueError("anchor_merge: name the backend, or set anchor_merge to 1")
    weighted = choose_backend(plain.name, device, head_dims, anchor_strength * side**2)

    def attend_anchors(
        q: Tensor, k: Tensor, v: Tensor, k_anchor: Tensor, v_anchor: Tensor
    ) -> Tensor:
        whole = k_anchor.shape[1] == num_anchors * q.shape[1]
        return (plain if whole else weighted).attend_anchors(q, k, v, k_anchor, v_anchor)

    return replace(plain, attend_anchors=attend_anchors)
