"""What the anchor cache keeps, and how much."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairy.anchors.cache import AnchorCache, load_anchors, save_anchors

CPU = torch.device("cpu")


def make_cache(num_steps: int = 2) -> AnchorCache:
    cache = AnchorCache(CPU, CPU)
    for step in range(num_steps):
        for layer in ("first", "second"):
            cache.put(step, layer, torch.full((3, 8, 2, 4), float(step)), torch.ones(3, 8, 2, 4))
    return cache


def test_entry_comes_back():
    k, v = make_cache().get(1, "second")
    assert (k == 1).all()
    assert (v == 1).all()


def test_bytes_equal_the_formula():
    keys_and_values, steps, layers, entry, element = 2, 2, 2, 3 * 8 * 2 * 4, 4
    expected = keys_and_values * steps * layers * entry * element
    assert make_cache().num_bytes == expected


def test_step_without_anchors_is_an_error():
    with pytest.raises(KeyError):
        make_cache().get(2, "first")


def test_entries_elsewhere_need_begin_step():
    # "meta" acts as another device: what is read there has been copied over
    cache = make_cache()
    cache.compute_device = torch.device("meta")
    with pytest.raises(KeyError):
        cache.get(0, "first")
    cache.begin_step(0)
    assert cache.get(0, "first")[0].device.type == "meta"


def test_only_the_current_step_stays_near():
    cache = make_cache()
    cache.compute_device = torch.device("meta")
    cache.begin_step(0)
    cache.begin_step(1)
    with pytest.raises(KeyError):
        cache.get(0, "first")


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
