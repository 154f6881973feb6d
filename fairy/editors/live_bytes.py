"""Count how many bytes code holds at once, without computing: on tensors of the meta device.

Such tensors have a shape and a dtype but no values, and operators on them return at once. Like an
allocator, this counts every result until nothing refers to it. Memory that an operator allocates
internally is not visible. So composite operators are replaced by single ones: torch's attention,
which would otherwise hold all scores, and norms and products, for speed.
Tests: tests/editors/test_live_bytes.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


@contextmanager
def counted(device_type: str = "meta") -> Iterator[LiveBytes]:
    """Count the tensors made inside the block on one type of device, without gradients."""
    with torch.no_grad(), LiveBytes(device_type) as live, _FusedAttention():
        yield live


class LiveBytes(TorchDispatchMode):
    """Bytes of the tensors made inside the block, on one type of device, that are still alive.

    Args:
        device_type: "meta", or another one, on which operators run unchanged.

    Attributes:
        peak: the largest number of bytes held at once.

    >>> with counted() as live:
    ...     kept = torch.empty(10, dtype=torch.uint8, device="meta")
    ...     passing = torch.empty(5, dtype=torch.uint8, device="meta")
    ...     del passing
    >>> live.peak, live.now
    (15, 10)
    """

    def __init__(self, device_type: str = "meta") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._device_type = device_type
        # Upper bound: freed storages are subtracted only when `now` is read
        self._upper = 0
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}

    @property
    def now(self) -> int:
        """Bytes held now."""
        alive = {key: held for key, held in self._storages.items() if not held[0].expired()}
        self._storages, self._upper = alive, sum(num_bytes for _, num_bytes in alive.values())
        return self._upper

    def __torch_dispatch__(
        self,
        operator: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operator and count its results."""
        run = SHORT.get(operator, operator) if self._device_type == "meta" else operator
        out = run(*args, **(kwargs or {}))
        if any(result.alias_info for result in operator._schema.returns):
            # Views and in-place operators allocate nothing
            return out
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and tensor.device.type == self._device_type:
                self._add(tensor)
        if self._upper > self.peak:
            self.peak = max(self.peak, self.now)
        return out

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)
        if reference.cdata not in self._storages:
            self._storages[reference.cdata] = (reference, storage.nbytes())
            self._upper += storage.nbytes()


class _FusedAttention(TorchFunctionMode):
    """Counts torch's attention as the fused kernel that devices run: no scores in memory."""

    def __torch_function__(
        self,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        query: Any = args[0] if args else (kwargs or {}).get("query")
        if function is scaled_dot_product_attention and query.device.type == "meta":
            # (B,H,N,D) in and out; in memory the heads of a token are contiguous
            num_rows, num_heads, num_tokens, head_dim = query.shape
            return query.new_empty(num_rows, num_tokens, num_heads, head_dim).transpose(1, 2)
        return function(*args, **(kwargs or {}))


def _normed(x: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
    # Means and deviations, one per group or row, are too small to matter
    return torch.empty_like(x), x.new_empty(0), x.new_empty(0)


def _product(bias: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], b.shape[1])


# torch computes their shapes by compositions in Python, which took two thirds of a trace's time
SHORT: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.native_group_norm.default: _normed,
    torch.ops.aten.native_layer_norm.default: _normed,
    torch.ops.aten.addmm.default: _product,
}
