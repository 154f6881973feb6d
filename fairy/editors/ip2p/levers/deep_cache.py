"""Reuse the UNet's lower levels from step to step, because their result changes slowly.

In a step that reuses them, the UNet runs only its top level. Activations (B,C,h,w) of an earlier
step replace those of the lower levels, whose layers neither write nor read the anchors' cache. The
idea is from DeepCache (Ma et al. 2024, arXiv 2312.00858).
Tests: tests/editors/ip2p/levers/test_deep_cache.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from fairy.editors.ip2p.levers.base import Lever, Step
from fairy.errors import SettingsError

if TYPE_CHECKING:
    from typing_extensions import Self


def reused_steps(num_groups: Sequence[int], every: int) -> list[bool]:
    """Return which steps reuse the lower levels, given the number of branches of each step.

    Lower levels are computed in every `every`-th step, and in a step with branches that were not
    computed the last time.

    >>> reused_steps([1, 1, 3, 3], every=4)
    [False, True, False, True]
    """
    reused: list[bool] = []
    num_kept = 0
    for index, num_here in enumerate(num_groups):
        reused.append(_reuses(index, num_here, num_kept, every))
        num_kept = num_kept if reused[-1] else num_here
    return reused


def _reuses(index: int, num_groups: int, num_groups_kept: int, every: int) -> bool:
    return index % every != 0 and num_groups <= num_groups_kept


class DeepCache(Lever):
    """Computes the levels below a UNet's top one in some steps and reuses them in the others.

    It replaces modules instead of hooking them, because torch.compile notices replaced modules.

    Args:
        unet: any UNet with two levels or more.
        every: compute them in every `every`-th step.

    Raises:
        SettingsError: the UNet has one level.
    """

    def __init__(self, unet: UNet2DConditionModel, every: int) -> None:
        if len(unet.up_blocks) < 2:
            raise SettingsError("reuse: this model's UNet has only one level; use 1, which is off")
        self._unet, self._every = unet, every
        self._last = _Last()
        self._num_groups_kept = 0

    def __enter__(self) -> Self:
        """Remember the UNet's modules."""
        unet = self._unet
        self._top, self._below = unet.down_blocks[0], unet.up_blocks[-2]
        self._whole: tuple[Any, ...] = (
            unet.down_blocks,
            unet.mid_block,
            unet.up_blocks,
            self._top.downsamplers,
            self._below.upsamplers,
        )
        self._num_groups_kept = 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the UNet's modules back and drop the kept activations."""
        self._restore()
        self._last.kept = None

    def at_step(self, step: Step) -> Step:
        """Make the UNet reuse its lower levels, or compute and keep them.

        A step may have fewer rows (B,...) than were kept; it then uses the first ones.
        """
        self._restore()
        num_groups = step.guidance.num_groups
        if _reuses(step.index, num_groups, self._num_groups_kept, self._every):
            self._unet.down_blocks = nn.ModuleList([self._top])
            self._unet.mid_block = self._last
            self._unet.up_blocks = nn.ModuleList([self._unet.up_blocks[-1]])
            self._top.downsamplers = None
        else:
            self._num_groups_kept = num_groups
            self._below.upsamplers = nn.ModuleList([*self._below.upsamplers, _Keep(self._last)])
        return step

    def _restore(self) -> None:
        unet = self._unet
        unet.down_blocks, unet.mid_block, unet.up_blocks = self._whole[:3]
        self._top.downsamplers, self._below.upsamplers = self._whole[3:]


class _Last(nn.Module):
    """Replaces the mid block; returns the activations that were kept."""

    kept: Tensor | None = None

    def forward(self, sample: Tensor, temb: Tensor) -> Tensor:
        assert self.kept is not None
        return self.kept[: sample.shape[0]]


class _Keep(nn.Module):
    """Follows an upsampler and keeps its activations."""

    def __init__(self, last: _Last) -> None:
        super().__init__()
        self._last = last

    def forward(self, hidden_states: Tensor, output_size: int | None = None) -> Tensor:
        self._last.kept = hidden_states
        return hidden_states
