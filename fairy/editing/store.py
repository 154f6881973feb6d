"""Edited anchors on disk: their keys and values, and their results; safetensors.

Entries: `result.INDEX` (3,H,W) or (C,h,w); `k.STEP.LAYER` and `v.STEP.LAYER` (G,M,H,D).
Tests: tests/editing/test_store.py.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from fairy.editing.cache import AnchorCache


def save_anchors(path: Path, cache: AnchorCache, results: dict[int, Tensor]) -> None:
    """Write the cache and the anchors' results by frame index to `path`, whole or not at all."""
    tensors = {f"result.{index}": result.contiguous() for index, result in results.items()}
    for step, layer, k, v in cache.entries():
        tensors[f"k.{step}.{layer}"], tensors[f"v.{step}.{layer}"] = k, v
    part = path.with_name(f"{path.name}.part")
    save_file(tensors, part)
    part.replace(path)


def load_anchors(path: Path, cache: AnchorCache) -> dict[int, Tensor]:
    """Fill the cache from `path`; return the anchors' results by frame index."""
    results: dict[int, Tensor] = {}
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118 (the file is no mapping)
            kind, number, *layer = name.split(".", 2)
            if kind == "result":
                results[int(number)] = file.get_tensor(name)
            elif kind == "k":
                value = file.get_tensor(f"v.{number}.{layer[0]}")
                cache.put(int(number), layer[0], file.get_tensor(name), value)
    return results
