"""The base class of levers, which change what the steps of a pass compute."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from fairy.editors.ip2p.guidance import Guidance

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Step:
    """What one denoising step computes.

    Attributes:
        index: its number, from 0.
        num_steps: steps of the pass.
        guidance: the guidance branches.
    """

    index: int
    num_steps: int
    guidance: Guidance


class Lever:
    """Active inside `with`, for one pass through all steps; then the UNet is as it was before.

    The anchors' pass and the frames' passes use the same levers, so the cache has the entries that
    the frames need.

    Attributes:
        drops_branches: whether some steps may have fewer guidance branches.
    """

    drops_branches = False

    def __enter__(self) -> Self:
        """Prepare for a pass."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Undo what the pass needed."""

    def at_step(self, step: Step) -> Step:
        """Prepare for a step before it runs; return what it should compute."""
        return step
