"""AnchorCache: the anchors' keys and values, per denoising step and self-attention layer.

Written once, while the anchors are denoised, and read by every frame batch. Each entry is a pair
(k, v), each (G,M,H,D) with M = A*N: one row per guidance branch, never one per frame.

The cache may be on another device than the model (`device="cpu"` for a model on a GPU uses pinned
memory). Then `begin_step` copies one step's entries over and prefetches those of the next step.

`save_anchors` writes the anchors' keys, values and results to a safetensors file. Its entries are
`result.INDEX` (3,H,W) or (C,h,w), and `k.STEP.LAYER` and `v.STEP.LAYER` (G,M,H,D).
Tests: tests/anchors/test_cache.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

KeysValues = tuple[Tensor, Tensor]


class AnchorCache:
    """Keys and values of the anchors by (step, layer).

    Args:
        device: where entries are kept.
        compute_device: where the model runs and reads entries.
    """

    def __init__(self, device: torch.device, compute_device: torch.device) -> None:
        self.device = device
        self.compute_device = compute_device
        self._steps: dict[int, dict[str, KeysValues]] = {}
        self._near: dict[int, dict[str, KeysValues]] = {}
        self._stream: torch.cuda.Stream | None = None
        if self._crosses_to_cuda:
            self._stream = torch.cuda.Stream(compute_device)

    @property
    def num_bytes(self) -> int:
        """Size in bytes: 2 * steps * sum over layers of G*M*H*D * bytes per element."""
        return sum(k.nbytes + v.nbytes for step in self._steps.values() for k, v in step.values())

    @property
    def _crosses_to_cuda(self) -> bool:
        return self.device.type == "cpu" and self.compute_device.type == "cuda"

    def put(self, step: int, layer: str, k: Tensor, v: Tensor) -> None:
        """Keep k, v (G,M,H,D) for a step and layer."""
        self._steps.setdefault(step, {})[layer] = (self._keep(k), self._keep(v))

    def get(self, step: int, layer: str) -> KeysValues:
        """Return k, v (G,M,H,D) on the model's device.

        Raises:
            KeyError: the anchors were not denoised, or `begin_step` was not called.
        """
        steps = self._steps if self.device == self.compute_device else self._near
        return steps[step][layer]

    def entries(self) -> Iterator[tuple[int, str, Tensor, Tensor]]:
        """Yield (step, layer, k, v) of every entry, on the device where it is kept."""
        for step, layers in self._steps.items():
            for layer, (k, v) in layers.items():
                yield step, layer, k, v

    def begin_step(self, step: int) -> Mapping[str, KeysValues]:
        """Return a step's entries by layer, on the model's device, and prefetch the next step's."""
        if self.device == self.compute_device:
            return self._steps.get(step, {})
        if step not in self._near:
            self._near[step] = self._bring(step)
        if self._stream is not None:
            torch.cuda.current_stream(self.compute_device).wait_stream(self._stream)
        self._near = {step: self._near[step]}
        if self._stream is not None and step + 1 in self._steps:
            self._near[step + 1] = self._bring(step + 1)
        return self._near[step]

    def drop(self, step: int) -> None:
        """Free a step's entries."""
        self._steps.pop(step, None)
        self._near.pop(step, None)

    def end_pass(self) -> None:
        """Free the copies that `begin_step` made."""
        self._near = {}

    def _keep(self, tensor: Tensor) -> Tensor:
        if not self._crosses_to_cuda:
            return tensor.to(self.device).contiguous()
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)

    def _bring(self, step: int) -> dict[str, KeysValues]:
        with torch.cuda.stream(self._stream):
            return {layer: (self._near_copy(k), self._near_copy(v))
                    for layer, (k, v) in self._steps.get(step, {}).items()}  # fmt: skip

    def _near_copy(self, tensor: Tensor) -> Tensor:
        copy = tensor.to(self.compute_device, non_blocking=True)
        if self._stream is not None:
            # Written on the side stream, read on the current one: neither may reuse it too early
            copy.record_stream(torch.cuda.current_stream(self.compute_device))
        return copy


def save_anchors(path: Path, cache: AnchorCache, results: dict[int, Tensor]) -> None:
    """Write the cache and the anchors' results by frame index to `path`, atomically."""
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
        for name in file.keys():  # noqa: SIM118 (the file is not a mapping)
            kind, number, *layer = name.split(".", 2)
            if kind == "result":
                results[int(number)] = file.get_tensor(name)
            elif kind == "k":
                value = file.get_tensor(f"v.{number}.{layer[0]}")
                cache.put(int(number), layer[0], file.get_tensor(name), value)
    return results
