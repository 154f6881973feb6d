"""StockEditor: any image editor of diffusers, for clips of any length.

    editor = StockEditor.from_pipe(pipe)        # a pipeline that you loaded and set up
    session = editor.begin("make it snow", anchors, settings, size=(384, 512))

The pipeline's own `__call__` runs for every frame; hooks let its attention read the anchors.
Prompts, autoencoder, guidance, LoRA, quantised and offloaded weights are diffusers' own affair.
Tests: tests/editors/stock/test_editor.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fairy.anchors.backends import choose_backend
from fairy.anchors.cache import AnchorCache
from fairy.anchors.parts import attention_of_parts
from fairy.editors.base import Anchor, EditorIdentity
from fairy.editors.batches import USABLE_FRACTION, EditMemory, free_bytes
from fairy.editors.identity import identity_of
from fairy.editors.stock.calls import StockCall, numbered_after_frame
from fairy.editors.stock.checks import check_begin
from fairy.editors.stock.control_images import ControlImages
from fairy.editors.stock.cost import cache_bytes, num_branches
from fairy.editors.stock.families import family_of
from fairy.editors.stock.hooks import attention_layers
from fairy.editors.stock.memory import StockShape, edit_memory
from fairy.editors.stock.session import StockSession, Ways
from fairy.editors.stock.sharing import AnchorSharing
from fairy.media.colours import Image
from fairy.media.frames import resize
from fairy.media.read import read_frame_at
from fairy.models.blueprint import Blueprint
from fairy.models.controlnets import Control
from fairy.models.defaults import ModelDefaults
from fairy.settings import EditConfig

# Every family takes pictures whose sides are multiples of it
REFERENCE_GRID = 32


class StockEditor:
    """Edits clips with a stock pipeline; an `Editor` (`fairy.editors.base`).

    Args:
        pipe: a pipeline of a class in `fairy.editors.stock.families`.
        defaults: settings used where an edit names none; the family's when None.
        extra: arguments that every call of the pipeline gets.
        controls: the ControlNets of a pipeline that has some, in its order; those that see the
            frame itself (ip2p) when empty.

    Attributes:
        pipe: the pipeline.
        family: what Fairy knows of its class.
    """

    def __init__(
        self,
        pipe: Any,
        *,
        defaults: ModelDefaults | None = None,
        extra: dict[str, Any] | None = None,
        controls: Sequence[Control] = (),
    ) -> None:
        self.pipe, self.family = pipe, family_of(type(pipe).__name__)
        self.is_distilled = bool(pipe.config.get("is_distilled"))
        self._defaults = defaults or self.family.defaults(self.is_distilled)
        self._extra = extra or {}
        self._control = ControlImages(controls, self.device) if controls else None

    @classmethod
    def from_pipe(cls, pipe: Any, **call_arguments: Any) -> StockEditor:
        """Return an editor with a pipeline that is loaded and set up: quantised, offloaded, LoRA.

        Args:
            pipe: the pipeline.
            **call_arguments: passed to every call of it, unchanged.

        Raises:
            ModelError: a class that Fairy does not know.
        """
        return cls(pipe, extra=call_arguments)

    @property
    def denoiser(self) -> Any:
        """The model that runs in every step."""
        return getattr(self.pipe, self.family.denoiser)

    @property
    def device(self) -> torch.device:
        """Where the denoiser runs."""
        device: torch.device = self.pipe._execution_device
        return device

    @property
    def defaults(self) -> ModelDefaults:
        """Settings used where an edit names none."""
        return self._defaults

    @property
    def grid(self) -> int:
        """Heights and widths must be multiples of this many pixels."""
        return self.family.grid

    def begin(
        self,
        prompt: str,
        anchors: Sequence[Anchor],
        settings: EditConfig,
        *,
        size: tuple[int, int],
        anchor_store: Path | None = None,
    ) -> StockSession:
        """Edit the anchors and return the session that edits the other frames; see `Editor`."""
        check_begin(self, prompt, anchors, settings, size)
        filled = self.defaults.fill(settings, prompt)
        assert filled.num_inference_steps is not None
        assert filled.guidance_scale is not None
        assert filled.image_guidance_scale is not None
        assert filled.seed is not None
        device = self.device
        backend = choose_backend(filled.backend, device, self._head_dims())
        call = StockCall(
            family=self.family,
            prompt=numbered_after_frame(self.family.read_words(self.pipe, prompt), len(filled.ref)),
            size=size,
            steps=filled.num_inference_steps,
            seed=filled.seed,
            guidance_scale=filled.guidance_scale,
            image_guidance_scale=filled.image_guidance_scale,
            negative_prompt=filled.negative_prompt,
            control=self._control,
            references=tuple(_reference(path, size, self.family.least) for path in filled.ref),
            extra=self._extra,
        )
        rope = self.family.rope
        sharing = AnchorSharing(
            family=self.family,
            cache=AnchorCache(torch.device(filled.anchor_cache_device or device), device),
            num_anchors=len(anchors),
            attend_parts=attention_of_parts(backend.name, device),
            strength=filled.anchor_strength,
            balance=filled.balance,
            rope=None if rope is None else rope(self.denoiser.config),
            position=filled.anchor_position,
            damping=filled.anchor_damping,
            num_steps=call.steps,
        )
        ways = Ways(
            step_by_step=self._step_by_step(filled, size, len(anchors), device),
            as_references=filled.anchors_as == "reference",
            text_from_anchor=filled.text_from == "anchor",
            frame_batch_size=filled.frame_batch_size,
            backend=(backend.name, backend.reason),
        )
        return StockSession(self, call, sharing, anchors, ways, anchor_store)

    def encode(self, images: Tensor) -> Tensor:
        """Return the images (F,3,H,W): the pipeline encodes them itself, in every call."""
        return images.float().cpu()

    def identity(self) -> EditorIdentity:
        """Return what decides, besides the settings, what an edit looks like."""
        parts = [part for part in self.pipe.components.values() if isinstance(part, nn.Module)]
        return identity_of(parts, self.pipe.scheduler, self.defaults, where=self.denoiser)

    def memory(
        self, settings: EditConfig, *, size: tuple[int, int], num_anchors: int
    ) -> EditMemory:
        """Return the memory that an edit of these settings needs besides the weights."""
        filled = self.defaults.fill(settings)
        shape = StockShape.of(
            self.family,
            filled,
            size,
            num_anchors,
            dtype=self.denoiser.dtype,
            is_distilled=self.is_distilled,
            step_by_step=self._step_by_step(filled, size, num_anchors, self.device),
        )
        parts = Blueprint.of(self.denoiser), Blueprint.of(self.pipe.vae)
        nets = getattr(self.pipe, "controlnet", None)
        several = getattr(nets, "nets", [nets] if nets is not None else [])
        controls = tuple(Blueprint.of(net) for net in several)
        return edit_memory(*parts, self.family, shape, controls)

    def _head_dims(self) -> set[int]:
        layers: Iterable[Any] = attention_layers(self.denoiser).values()
        return {layer.inner_dim // layer.heads for layer in layers if hasattr(layer, "inner_dim")}

    def _step_by_step(
        self,
        settings: EditConfig,
        size: tuple[int, int],
        num_anchors: int,
        device: torch.device,
    ) -> bool:
        """Return whether the anchors' keys and values of all steps are too many to keep."""
        if settings.anchor_cache != "auto":
            return settings.anchor_cache == "step"
        assert settings.num_inference_steps is not None
        assert settings.guidance_scale is not None
        branches = num_branches(
            self.family, settings.guidance_scale, is_distilled=self.is_distilled
        )
        needed = cache_bytes(
            self.denoiser,
            self.family,
            size,
            num_anchors=num_anchors,
            num_calls=settings.num_inference_steps * branches,
            itemsize=self.denoiser.dtype.itemsize,
        )
        device = torch.device(settings.anchor_cache_device or device)
        kind = "cpu" if device.type == "cpu" else "cuda"
        # Half of what is free: the rest is for activations
        return needed > free_bytes(device) * USABLE_FRACTION[kind] / 2


def _reference(path: Path, size: tuple[int, int], least: int) -> Image:
    """Return a picture in its own shape, with about as many pixels as a frame of (height, width).

    Its sides are at least `least` pixels.
    """
    picture = read_frame_at(path, [0])[0].image
    height, width = picture.shape[:2]
    scale = math.sqrt(size[0] * size[1] / (height * width))
    fewest = math.ceil(least / REFERENCE_GRID)
    sides = (max(fewest, round(side * scale / REFERENCE_GRID)) for side in (height, width))
    rows, columns = (side * REFERENCE_GRID for side in sides)
    return resize(picture, (rows, columns))
