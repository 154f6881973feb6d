"""Anchors from a file are those that were edited: keys, values and results."""

from __future__ import annotations

from pathlib import Path

import torch

from fairy.editing.cache import AnchorCache
from fairy.editing.store import load_anchors, save_anchors

CPU = torch.device("cpu")


def test_what_is_read_is_what_was_written(tmp_path: Path):
    cache = AnchorCache(CPU, CPU)
    k, v = torch.rand(3, 12, 2, 8), torch.rand(3, 12, 2, 8)
    cache.put(1, "up_blocks.0.attn1", k, v)
    results = {4: torch.rand(3, 8, 8), 17: torch.rand(3, 8, 8)}
    save_anchors(tmp_path / "anchors.safetensors", cache, results)

    read = AnchorCache(CPU, CPU)
    found = load_anchors(tmp_path / "anchors.safetensors", read)
    assert found.keys() == results.keys()
    assert all(torch.equal(found[index], results[index]) for index in results)
    assert torch.equal(read.get(1, "up_blocks.0.attn1")[0], k)
    assert torch.equal(read.get(1, "up_blocks.0.attn1")[1], v)
    assert [path.name for path in tmp_path.iterdir()] == ["anchors.safetensors"]
