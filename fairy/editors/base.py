"""The interface of every editor, independent of its model: jobs and evaluation use only this.

    session = editor.begin(prompt, anchors, settings, size=(height, width))
    images = session.edit([EditInput(index, image), ...])      uint8 (F,H,W,3)

A session holds all state of its edit, so several sessions can share one editor, even in several
threads. Implemented by `fairy.editors.ip2p.pipeline.FairyPipeline`.
Tests: tests/editors/ip2p/test_session.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from fairy.editors.batches import EditMemory
from fairy.editors.images import Frame
from fairy.media.colours import Image
from fairy.models.defaults import ModelDefaults
from fairy.settings import EditConfig, Shortcuts

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class EditInput:
    """One frame to edit.

    Attributes:
        index: its number in the clip; anchors are numbered the same way.
        source: uint8 (H,W,3), a PIL image, float (3,H,W) in [-1,1], or its latents (C,h,w).
        mask: (H,W) in [0,1], 0 where the frame must stay as it is, at least as large as latents;
            the edit may change the whole frame when None.
    """

    index: int
    source: Frame
    mask: Tensor | None = None


@dataclass(frozen=True)
class Anchor:
    """A frame whose keys and values the other frames attend to.

    Attributes:
        index: its number in the clip.
        source: as in `EditInput`.
        edited: its result, if a person edited it; otherwise the editor makes it.
        mask: as in `EditInput`.
    """

    index: int
    source: Frame
    edited: Frame | None = None
    mask: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class UsedSettings:
    """The settings that an edit actually used, for reports.

    Attributes:
        num_inference_steps: denoising steps.
        guidance_scale: weight of the instruction.
        image_guidance_scale: weight of the source image.
        num_groups: guidance branches, 1 to 3, in guided steps.
        anchor_indices: frames that are anchors.
        frame_batch_size: frames denoised together; after running out of memory, the smaller number.
        height: height of the frames that the model edited.
        width: width of the frames that the model edited.
        device: where the model ran.
        dtype: the model's precision.
        scheduler: the scheduler's class.
        backend: how attention was computed.
        backend_reason: why that one.
        anchor_cache_device: where the anchors' keys and values were kept.
        anchor_cache_bytes: their size.
        quality: name of the bundle of shortcuts that was used; "custom" if there is no such bundle.
        shortcuts: the shortcuts that were used.
    """

    num_inference_steps: int
    guidance_scale: float
    image_guidance_scale: float
    num_groups: int
    anchor_indices: tuple[int, ...]
    frame_batch_size: int
    height: int
    width: int
    device: str
    dtype: str
    scheduler: str
    backend: str
    backend_reason: str
    anchor_cache_device: str
    anchor_cache_bytes: int
    quality: str
    shortcuts: Shortcuts


@dataclass(frozen=True, kw_only=True)
class EditorIdentity:
    """Which model runs, and on what: editors with equal identities give the same results.

    Attributes:
        weights: SHA-256 over the first values of every weight, the scheduler and the defaults.
        device: the kind of device: "cpu", "cuda", "mps".
        dtype: the model's precision.
    """

    weights: str
    device: str
    dtype: str


class EditSession(ABC):
    """An edit in progress: its anchors are edited, and any frames can follow in any order."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Frames that are edited together; smaller after running out of memory."""

    @abstractmethod
    def edit(self, inputs: Sequence[EditInput]) -> Image:
        """Return the edited frames, uint8 (F,H,W,3), in the order of `inputs`.

        For an input with an anchor's index, the anchor's result is returned, not computed again.

        Raises:
            SettingsError: out of memory even with one frame, or an input this editor cannot edit.
        """

    @property
    @abstractmethod
    def used(self) -> UsedSettings:
        """The settings used so far."""

    @property
    @abstractmethod
    def timing(self) -> dict[str, float]:
        """Seconds by stage so far; on CUDA, reading this waits for the device."""

    @abstractmethod
    def close(self) -> None:
        """Free device memory that nothing else needs; called at the end of `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Editor(Protocol):
    """A loaded model that edits frames by an instruction."""

    @property
    def defaults(self) -> ModelDefaults:
        """The model's values for settings that an edit leaves out."""

    @property
    def grid(self) -> int:
        """Heights and widths must be multiples of this many pixels."""

    def begin(
        self,
        prompt: str,
        anchors: Sequence[Anchor],
        settings: EditConfig,
        *,
        size: tuple[int, int],
        anchor_store: Path | None = None,
    ) -> EditSession:
        """Edit the anchors and return the session that edits the other frames.

        Args:
            prompt: the instruction.
            anchors: sorted by index, at least one.
            settings: the sampling and compute settings of `EditConfig`; None means the value in
                `defaults`.
            size: (height, width) at which the model works, multiples of `grid`.
            anchor_store: file with these anchors' keys, values and results: read if it exists,
                otherwise written.

        Raises:
            InstructionError: the instruction is empty.
            SettingsError: the settings do not fit the model or the machine.
            ValueError: the anchors are not sorted, or the size is not on the grid.
        """

    def encode(self, images: Tensor) -> Tensor:
        """Return the latents (F,C,h,w), float32 on the CPU, of images (F,3,H,W) in [-1,1].

        Several edits of one clip can use them instead of its pictures.
        """

    def identity(self) -> EditorIdentity:
        """Return what determines an edit's result besides the settings."""

    def memory(
        self, settings: EditConfig, *, size: tuple[int, int], num_anchors: int
    ) -> EditMemory:
        """Return the memory that an edit with these settings needs besides the weights."""
