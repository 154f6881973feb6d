"""Reuse of the UNet's lower levels from step to step: their result changes slowly.

In a step that reuses, the UNet has its top level alone, and in place of everything below it the
(B,C,h,w) of an earlier step, as it came up then. The layers left out neither write nor read the
anchors' cache. The idea is DeepCache's (Ma et al. 2024, arXiv 2312.00858).
Tests: tests/editors/ip2p/levers/test_deep_cache.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from fairy.errors import SettingsError


class LowerLevels:
    """What the levels below a UNet's top one gave last, for one batch of rows.

    Modules are exchanged rather than hooked: torch.compile notices the one, but not the other.

    Args:
        unet: any UNet of two levels or more.

    Raises:
        SettingsError: the UNet has one level.
    """

    def __init__(self, unet: UNet2DConditionModel) -> None:
        if len(unet.up_blocks) < 2:
            raise SettingsError("reuse: this model's UNet has one level only; use 1, which is off")
        self._unet = unet
        self._last = _Last()

    @contextmanager
    def at(self, *, reused: bool) -> Iterator[None]:
        """Run the UNet inside with the lower levels of before, or compute and keep them.

        Rows (B,...) may be fewer than when they were kept: they are the first ones then.
        """
        with self._replaced() if reused else self._kept():
            yield

    @contextmanager
    def _kept(self) -> Iterator[None]:
        below = self._unet.up_blocks[-2]
        upsamplers = below.upsamplers
        try:
            below.upsamplers = nn.ModuleList([*upsamplers, _Keep(self._last)])
            yield
        finally:
            below.upsamplers = upsamplers

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


class _Last(nn.Module):
    """Stands where the middle block stands; gives what was kept, for as many rows as come."""

    kept: Tensor

    def forward(self, sample: Tensor, temb: Tensor) -> Tensor:
        return self.kept[: sample.shape[0]]


class _Keep(nn.Module):
    """Stands after an upsampler, as another one; keeps what comes from it."""

    def __init__(self, last: _Last) -> None:
        super().__init__()
        self._last = last

    def forward(self, hidden_states: Tensor, output_size: int | None = None) -> Tensor:
        self._last.kept = hidden_states
        return hidden_states
