"""One clip being edited: its anchors, then any of its frames, in batches.

frames float (F,3,H,W) in [-1,1] -> edited frames, the same shape and range. `ClipEdit` is made by
`FairyPipeline` for one clip and one instruction, and forgotten after it.
Tests: tests/editors/ip2p/test_pipeline.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fairy.anchors.cache import load_anchors, save_anchors
from fairy.editors.batches import FrameBatches, one_line_when_out_of_memory
from fairy.editors.compute import filled_up, is_compiled
from fairy.editors.ip2p.denoise import Denoiser
from fairy.editors.ip2p.latents import decode_latents, encode_images
from fairy.editors.timing import Stages
from fairy.settings import Shortcuts

if TYPE_CHECKING:
    from fairy.editors.ip2p.pipeline import FairyPipeline

ANCHORS_ADVICE = "use a smaller size, fewer anchors, or anchor_cache_device cpu"


@dataclass(frozen=True, kw_only=True)
class UsedSettings:
    """What an edit's settings came to, for reports.

    Attributes:
        num_inference_steps: denoising steps.
        guidance_scale: weight of the instruction.
        image_guidance_scale: weight of the source image.
        num_groups: guidance branches, 1 to 3, in guided steps.
        anchor_indices: frames that are anchors.
        frame_batch_size: frames denoised together.
        height: of the frames the model saw.
        width: of the frames the model saw.
        device: where the model ran.
        dtype: in which it ran.
        scheduler: the scheduler's class.
        backend: how attention was computed.
        backend_reason: why so.
        anchor_cache_device: where the anchors' keys and values lived.
        anchor_cache_bytes: their size.
        quality: name of the bundle of shortcuts that was used; "custom" if it is none.
        shortcuts: those that were used.
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

    @classmethod
    def of(
        cls,
        denoiser: Denoiser,
        anchor_indices: list[int],
        frame_batch_size: int,
        size: tuple[int, int],
    ) -> UsedSettings:
        """Return the settings of an edit whose anchors are done; size is (height, width)."""
        return cls(
            num_inference_steps=denoiser.num_inference_steps,
            guidance_scale=denoiser.guidance.guidance_scale,
            image_guidance_scale=denoiser.guidance.image_guidance_scale,
            num_groups=denoiser.guidance.num_groups,
            anchor_indices=tuple(anchor_indices),
            frame_batch_size=frame_batch_size,
            height=size[0],
            width=size[1],
            device=str(denoiser.prompt_embeds.device),
            dtype=str(denoiser.prompt_embeds.dtype).removeprefix("torch."),
            scheduler=type(denoiser.scheduler).__name__,
            backend=denoiser.backend.name,
            backend_reason=denoiser.backend.reason,
            anchor_cache_device=str(denoiser.cache.device),
            anchor_cache_bytes=denoiser.cache.num_bytes,
            quality=denoiser.shortcuts.quality,
            shortcuts=denoiser.shortcuts,
        )


class ClipEdit:
    """The edit of one clip.

    Args:
        pipe: whose models are used.
        denoiser: the loops, set up for this clip.
        anchor_indices: which frames are the anchors, sorted.
        batches: how many frames at a time.
        decode: whether results are images (F,3,H,W); else latents (F,C,h,w).

    Attributes:
        stages: seconds of "vae_encode", "anchors", "frames" and "vae_decode".
    """

    def __init__(
        self,
        pipe: FairyPipeline,
        denoiser: Denoiser,
        anchor_indices: list[int],
        batches: FrameBatches,
        *,
        decode: bool,
    ) -> None:
        self._pipe = pipe
        self._denoiser = denoiser
        self._anchor_indices = anchor_indices
        self._batches = batches
        self._decode = decode
        self.stages = Stages(denoiser.prompt_embeds.device)
        self._anchors: dict[int, Tensor] = {}

    def edit_anchors(self, images: Tensor, store: Path | None = None) -> None:
        """Edit the anchors' images (A,3,H,W); their results are kept until asked for.

        Where `store` is a file of earlier anchors, they are read from it; else it is written.
        """
        if store is not None and store.exists():
            self._anchors = load_anchors(store, self._denoiser.cache)
            return
        image_latents = self._batches.run(images, self._encode)
        attempt = f"{len(images)} anchors together"
        with self.stages("anchors"), one_line_when_out_of_memory(attempt, ANCHORS_ADVICE):
            latents = self._denoiser.edit_anchors(image_latents)
        results = self._batches.run(latents, self._finish)
        self._anchors = dict(zip(self._anchor_indices, results, strict=True))
        if store is not None:
            save_anchors(store, self._denoiser.cache, self._anchors)

    def edit(self, numbered: Iterator[tuple[int, Tensor]]) -> Iterator[Tensor]:
        """Return the results of frames (index, (3,H,W)) in order, as batches (F,...).

        A frame that is an anchor is not computed again: its result is the anchors' own.
        """
        while batch := list(islice(numbered, self._batches.size)):
            yield self._edit_batch(dict(batch))

    def _edit_batch(self, batch: dict[int, Tensor]) -> Tensor:
        others = {i: frame for i, frame in batch.items() if i not in self._anchors}
        results = {i: self._anchors[i] for i in batch.keys() & self._anchors.keys()}
        if others:
            edited = self._batches.run(torch.stack(list(others.values())), self._edit_images)
            results |= dict(zip(others, edited, strict=True))
        return torch.stack([results[i] for i in batch])

    def _edit_images(self, images: Tensor) -> Tensor:
        image_latents = self._encode(images)
        with self.stages("frames"):
            latents = self._denoiser.edit_frames(self._filled_up(image_latents))
        return self._finish(latents[: images.shape[0]])

    def _filled_up(self, image_latents: Tensor) -> Tensor:
        """Return image_latents (F,C,h,w), as many as the UNet was or will be compiled for."""
        if not is_compiled(self._pipe.unet):
            return image_latents
        return filled_up(image_latents, self._batches.size)

    @torch.no_grad()
    def _encode(self, images: Tensor) -> Tensor:
        prompt_embeds = self._denoiser.prompt_embeds
        if images.shape[1:] == self._denoiser.noise.initial.shape[1:]:
            # Latents already: several edits share them
            return images.to(prompt_embeds)
        with self.stages("vae_encode"):
            image_latents = encode_images(self._pipe.vae, images.to(prompt_embeds.device))
            return image_latents.to(prompt_embeds.dtype)

    @torch.no_grad()
    def _finish(self, latents: Tensor) -> Tensor:
        """Return the results, on the CPU: images (F,3,H,W) in [-1,1], or the latents."""
        if not self._decode:
            return latents.cpu()
        with self.stages("vae_decode"):
            images = decode_latents(self._pipe.decoder or self._pipe.vae, latents)
            return check_safety(self._pipe, images).cpu()


def check_safety(pipe: FairyPipeline, images: Tensor) -> Tensor:
    """Return images (F,3,H,W) in [-1,1], black where the model's safety checker objects.

    Models without a checker: unchanged.
    """
    if pipe.safety_checker is None:
        return images
    _, flagged = pipe.run_safety_checker(images.clone(), pipe._execution_device, pipe.unet.dtype)
    keep = torch.tensor([not flag for flag in flagged], device=images.device)
    return torch.where(keep[:, None, None, None], images, -1.0)
