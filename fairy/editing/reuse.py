"""Reuse of the UNet's lower levels from step to step: their result changes slowly.

In a step that reuses, the UNet has its top level alone, and in place of everything below it the
(B,C,h,w) of an earlier step, as it came up then. The layers left out neither write nor read the
anchors' cache. The idea is DeepCache's (Ma et al. 2024, arXiv 2312.00858).
Tests: tests/editing/test_reuse.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from fairy.errors import SettingsError


class LowerLevels:
    """What the levels below a UNet's top one gave last, for one batch of rows.

    Args:
        unet: any UNet of two levels or more.

    Raises:
        SettingsError: the UNet has one level.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        if len(unet.up_blocks) < 2:
            raise SettingsError("reuse: this model's UNet has one level only; use 1, which is off")
        self._unet = unet
        self._last = _Recalled()

    @contextmanager
    def at(self, *, reused: bool) -> Iterator[None]:
        """Run the UNet inside with the lower levels of before, or compute and keep them.

        Rows (B,...) may be fewer than when they were kept: they are the first ones then.
        """
        with self._replaced() if reused else self._kept():
            yield

    @contextmanager
    def _kept(self) -> Iterator[None]:
        hook = self._unet.up_blocks[-2].register_forward_hook(self._last.keep)
        try:
            yield
        finally:
            hook.remove()

    @contextmanager
    def _replaced(self) -> Iterator[None]:
        unet, top = self._unet, self._unet.down_blocks[0]
        whole = unet.down_blocks, unet.mid_block, unet.up_blocks, top.downsamplers
        try:
            unet.down_blocks, unet.mid_block = nn.ModuleList([top]), self._last
            unet.up_blocks, top.downsamplers = nn.ModuleList([unet.up_blocks[-1]]), None
            yield
        finally:
            unet.down_blocks, unet.mid_block, unet.up_blocks, top.downsamplers = whole


class _Recalled(nn.Module):
    """Stands where the middle block stands; gives what was kept, for as many rows as come."""

    kept: Tensor

    def keep(self, module: nn.Module, args: tuple[Any, ...], out: Tensor) -> None:
        self.kept = out

    def forward(self, sample: Tensor, temb: Tensor) -> Tensor:
        return self.kept[: sample.shape[0]]
