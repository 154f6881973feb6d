"""An edit in progress with an InstructPix2Pix-type UNet: anchors first, then frames in batches.

images (F,3,H,W) in [-1,1] -> image_latents (F,C,h,w) -> latents (F,C,h,w) -> images (F,3,H,W).
Tests: tests/editors/ip2p/test_session.py, tests/editors/ip2p/test_pipeline.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fairy.anchors.attention import self_attention_head_dims
from fairy.anchors.backends import Backend, choose_backend
from fairy.anchors.cache import AnchorCache, load_anchors, save_anchors
from fairy.editors.base import Anchor, EditInput, EditSession, UsedSettings
from fairy.editors.batches import (
    FrameBatches,
    choose_frame_batch_size,
    free_bytes,
    one_line_when_out_of_memory,
)
from fairy.editors.compute import filled_up, is_compiled
from fairy.editors.images import read_at_size
from fairy.editors.ip2p.arguments import refuse_stock_options
from fairy.editors.ip2p.denoise import Denoiser, StepCallback
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.held import Held
from fairy.editors.ip2p.latents import ClipNoise, decode_latents, encode_images, make_generator
from fairy.editors.ip2p.levers import make_levers
from fairy.editors.ip2p.prompt import encode_instruction
from fairy.editors.ip2p.reference import encode_reference
from fairy.editors.timing import Stopwatch
from fairy.editors.turns import turn
from fairy.media.colours import Image
from fairy.media.frames import to_images
from fairy.models.defaults import nearest_edit
from fairy.settings import EditConfig

if TYPE_CHECKING:
    from fairy.editors.ip2p.pipeline import FairyPipeline

ANCHORS_ADVICE = "use a smaller size, fewer anchors, or anchor_cache_device cpu"


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """Options for Python callers besides the settings: objects and diffusers' arguments.

    Attributes:
        generator: source of the noise; None uses the settings' seed.
        backend: a backend object, such as one that records (`fairy.anchors.attention_hooks`);
            None uses the settings' backend.
        eta: noise of DDIM; other schedulers ignore it.
        cross_attention_kwargs: as in diffusers, such as {"scale": 0.5} for a LoRA.
        on_step_end: called after every denoising step of the anchors and of each batch.
        latents: (1,C,h,w), the noise that all frames start from; None draws it.
        prompt_embeds: (1,L,D), replaces the instruction.
        negative_prompt_embeds: (1,L,D), replaces the negative prompt.
        timesteps: replace the scheduler's own; their number is the number of steps.
        sigmas: likewise.
        decode: whether results are images instead of latents.
    """

    generator: torch.Generator | None = None
    backend: Backend | None = None
    eta: float = 0.0
    cross_attention_kwargs: dict[str, Any] | None = None
    on_step_end: StepCallback | None = None
    latents: Tensor | None = None
    prompt_embeds: Tensor | None = None
    negative_prompt_embeds: Tensor | None = None
    timesteps: Sequence[int] | None = None
    sigmas: Sequence[float] | None = None
    decode: bool = True

    @property
    def num_steps(self) -> int | None:
        """Number of steps from `timesteps` or `sigmas`; None if the settings decide."""
        chosen = self.timesteps if self.timesteps is not None else self.sigmas
        return None if chosen is None else len(chosen)


class Ip2pSession(EditSession):
    """The edit of one shot. `FairyPipeline.begin` creates it with the same arguments.

    Args:
        pipe: the model; other sessions may use it at the same time.
        prompt: the instruction.
        anchors: sorted by index; they are edited right away.
        settings: a value of None means the model's default.
        size: (height, width) at which the model works.
        anchor_store: file of the anchors' keys, values and results; read if it exists, otherwise
            written.
        options: options for Python callers.
    """

    def __init__(
        self,
        pipe: FairyPipeline,
        prompt: str,
        anchors: Sequence[Anchor],
        settings: EditConfig,
        *,
        size: tuple[int, int],
        anchor_store: Path | None = None,
        options: CallOptions | None = None,
    ) -> None:
        options = options or CallOptions()
        _check_anchors(anchors)
        _check_size(size, pipe.grid)
        refuse_stock_options(settings)
        if options.num_steps is not None:
            settings = replace(settings, num_inference_steps=options.num_steps)
        settings = pipe.defaults.fill(settings, prompt)
        self._pipe, self._size, self._decode = pipe, size, options.decode
        self._shortcuts, self._mask_strength = settings.shortcuts, settings.mask_strength
        edit = nearest_edit(prompt, pipe.defaults.edits)
        self._colourless = edit is not None and edit.colourless
        with turn(pipe.unet):
            self._denoiser = _make_denoiser(pipe, prompt, settings, size, options)
            self._timer = Stopwatch(self._device)
            self._batches = FrameBatches(
                settings.frame_batch_size or self._fitting_batch(settings, len(anchors))
            )
            self._anchors = self._edit_anchors(anchors, anchor_store)

    @property
    def batch_size(self) -> int:
        """Number of frames edited together; reduced when memory runs out."""
        return self._batches.size

    @property
    def timing(self) -> dict[str, float]:
        """Seconds of "vae_encode", "anchors", "frames" and "vae_decode" so far."""
        return self._timer.seconds()

    @property
    def used(self) -> UsedSettings:
        """The settings used so far."""
        denoiser = self._denoiser
        return UsedSettings(
            num_inference_steps=denoiser.num_inference_steps,
            guidance_scale=denoiser.guidance.guidance_scale,
            image_guidance_scale=denoiser.guidance.image_guidance_scale,
            num_groups=denoiser.guidance.num_groups,
            anchor_indices=tuple(sorted(self._anchors)),
            frame_batch_size=self._batches.size,
            height=self._size[0],
            width=self._size[1],
            device=str(self._device),
            dtype=str(denoiser.prompt_embeds.dtype).removeprefix("torch."),
            scheduler=type(denoiser.scheduler).__name__,
            backend=denoiser.backend.name,
            backend_reason=denoiser.backend.reason,
            anchor_cache_device=str(denoiser.cache.device),
            anchor_cache_bytes=denoiser.cache.num_bytes,
            quality=self._shortcuts.quality,
            shortcuts=self._shortcuts,
        )

    def edit(self, inputs: Sequence[EditInput]) -> Image:
        """Return the edited frames, uint8 (F,H,W,3), in the order of `inputs`."""
        return to_images(self.edit_tensors(inputs))

    def edit_tensors(self, inputs: Sequence[EditInput]) -> Tensor:
        """Return the results on the CPU, in order: images (F,3,H,W) in [-1,1].

        A session that does not decode returns latents (F,C,h,w).

        Raises:
            SettingsError: out of memory even with one frame.
        """
        others = [one for one in inputs if one.index not in self._anchors]
        edited = iter(())
        if others:
            images = torch.stack(list(read_at_size((one.source for one in others), self._size)))
            free = self._free([one.mask for one in others])
            edited = iter(
                self._batches.run(
                    torch.arange(len(others)),
                    lambda rows: self._edit_images(images[rows], free[rows]),
                )
            )
        return torch.stack(
            [
                self._anchors[one.index] if one.index in self._anchors else next(edited)
                for one in inputs
            ]
        )

    def close(self) -> None:
        """Move the model off the device if it is offloaded between uses."""
        with turn(self._pipe.unet):
            self._pipe.maybe_free_model_hooks()

    @property
    def _device(self) -> torch.device:
        return self._denoiser.prompt_embeds.device

    def _fitting_batch(self, settings: EditConfig, num_anchors: int) -> int:
        """Return how many frames at a time fit into free memory."""
        chosen = replace(settings, backend=self._denoiser.backend.name)
        memory = self._pipe.memory(chosen, size=self._size, num_anchors=num_anchors)
        return choose_frame_batch_size(self._device.type, free_bytes(self._device), memory)

    def _edit_anchors(self, anchors: Sequence[Anchor], store: Path | None) -> dict[int, Tensor]:
        """Return the anchors' results by index and fill the cache, or read both from `store`."""
        if store is not None and store.exists():
            return load_anchors(store, self._denoiser.cache)
        images = torch.stack(list(read_at_size((one.source for one in anchors), self._size)))
        image_latents = self._batches.run(images, self._encode)
        held = self._held(image_latents, self._free([one.mask for one in anchors]))
        by_hand = {row: one.edited for row, one in enumerate(anchors) if one.edited is not None}
        pictures = list(read_at_size(by_hand.values(), self._size))
        if by_hand:
            own = self._batches.run(torch.stack(pictures), self._encode)
            held += (self._follow(image_latents, own, list(by_hand)),)
        attempt = f"{len(anchors)} anchors together"
        with self._timer("anchors"), one_line_when_out_of_memory(attempt, ANCHORS_ADVICE):
            latents = self._denoiser.edit_anchors(image_latents, held)
        edited = list(self._batches.run(latents, self._finish))
        if self._decode:
            # Return a person's picture unchanged, not as the autoencoder would decode it
            for row, picture in zip(by_hand, pictures, strict=True):
                edited[row] = picture
        results = {one.index: result for one, result in zip(anchors, edited, strict=True)}
        if store is not None:
            save_anchors(store, self._denoiser.cache, results)
        return results

    def _free(self, masks: Sequence[Tensor | None]) -> Tensor:
        """Return 1 where latents may change, (F,1,h,w): in every cell that a mask touches."""
        h, w = self._denoiser.noise.initial.shape[-2:]
        whole = torch.ones(1, h, w)
        cells = [
            whole if mask is None else F.adaptive_max_pool2d(mask[None].float(), (h, w)) > 0
            for mask in masks
        ]
        return torch.stack([cell.to(self._device, torch.float32) for cell in cells])

    def _held(self, image_latents: Tensor, free: Tensor) -> tuple[Held, ...]:
        """Return what holds latents (F,C,h,w) at the source where they are not `free`."""
        if bool((free > 0).all()):
            return ()
        return (Held(image_latents * self._denoiser.latent_scale, free, self._mask_strength),)

    def _follow(self, image_latents: Tensor, own: Tensor, rows: list[int]) -> Held:
        """Return what holds the latents of `rows` at those of a person's pictures, (R,C,h,w)."""
        target, free = image_latents.clone(), torch.ones_like(image_latents[:, :1])
        target[rows], free[rows] = own, 0
        return Held(target * self._denoiser.latent_scale, free)

    def _edit_images(self, images: Tensor, free: Tensor) -> Tensor:
        """Edit frames (F,3,H,W) or (F,C,h,w) that are not anchors; `free` is (F,1,h,w)."""
        with turn(self._pipe.unet):
            image_latents = self._encode(images)
            held = self._held(image_latents, free)
            if is_compiled(self._pipe.unet):
                # The UNet is compiled for one batch size
                image_latents = filled_up(image_latents, self._batches.size)
            with self._timer("frames"):
                latents = self._denoiser.edit_frames(image_latents, held)
            return self._finish(latents[: images.shape[0]])

    @torch.no_grad()
    def _encode(self, images: Tensor) -> Tensor:
        """Return image_latents (F,C,h,w) on the device; inputs that are latents are only moved."""
        prompt_embeds = self._denoiser.prompt_embeds
        if images.shape[1:] == self._denoiser.noise.initial.shape[1:]:
            return images.to(prompt_embeds)
        with self._timer("vae_encode"):
            image_latents = encode_images(self._pipe.vae, images.to(prompt_embeds.device))
            return image_latents.to(prompt_embeds.dtype)

    @torch.no_grad()
    def _finish(self, latents: Tensor) -> Tensor:
        """Return the results on the CPU: images (F,3,H,W) in [-1,1], or the latents."""
        if not self._decode:
            return latents.cpu()
        with self._timer("vae_decode"):
            images = decode_latents(self._pipe.decoder or self._pipe.vae, latents)
            images = check_safety(self._pipe, images).cpu()
            return without_colour(images) if self._colourless else images


def without_colour(images: Tensor) -> Tensor:
    """Return images (F,3,H,W) as grey: their brightness (ITU-R BT.601) in every channel."""
    weights = torch.tensor((0.299, 0.587, 0.114))[:, None, None]
    return (images * weights).sum(1, keepdim=True).expand_as(images)


def check_safety(pipe: FairyPipeline, images: Tensor) -> Tensor:
    """Return images (F,3,H,W) in [-1,1], with those that the safety checker flags in black.

    Without a safety checker the images are unchanged.
    """
    if pipe.safety_checker is None:
        return images
    _, flagged = pipe.run_safety_checker(images.clone(), pipe._execution_device, pipe.unet.dtype)
    keep = torch.tensor([not flag for flag in flagged], device=images.device)
    return torch.where(keep[:, None, None, None], images, -1.0)


def _make_denoiser(
    pipe: FairyPipeline,
    prompt: str,
    settings: EditConfig,
    size: tuple[int, int],
    options: CallOptions,
) -> Denoiser:
    assert settings.num_inference_steps is not None
    assert settings.guidance_scale is not None
    assert settings.image_guidance_scale is not None
    guidance = Guidance(settings.guidance_scale, settings.image_guidance_scale)
    prompt_embeds = encode_instruction(
        pipe,
        prompt,
        settings.negative_prompt,
        guidance,
        prompt_embeds=options.prompt_embeds,
        negative_prompt_embeds=options.negative_prompt_embeds,
    )
    device, dtype = prompt_embeds.device, prompt_embeds.dtype
    backend = options.backend or choose_backend(
        settings.backend, device, self_attention_head_dims(pipe.unet), settings.anchor_strength
    )
    shape = (pipe.vae.config.latent_channels, size[0] // pipe.grid, size[1] // pipe.grid)
    generator = make_generator(settings.seed if options.generator is None else options.generator)
    return Denoiser(
        unet=pipe.unet,
        scheduler=pipe.scheduler,
        num_inference_steps=settings.num_inference_steps,
        prompt_embeds=prompt_embeds,
        guidance=guidance,
        noise=ClipNoise.draw(generator, shape, device, dtype, options.latents),
        backend=backend,
        cache=AnchorCache(torch.device(settings.anchor_cache_device or device), device),
        timesteps=options.timesteps,
        sigmas=options.sigmas,
        eta=options.eta,
        cross_attention_kwargs=options.cross_attention_kwargs,
        image_embeds=encode_reference(pipe, settings.ref, guidance),
        strength=settings.strength,
        latent_scale=pipe.vae.config.scaling_factor,
        levers=make_levers(pipe.unet, settings.shortcuts),
        on_step_end=options.on_step_end,
    )


def _check_anchors(anchors: Sequence[Anchor]) -> None:
    indices = [anchor.index for anchor in anchors]
    if not indices or indices != sorted(set(indices)):
        raise ValueError(f"anchors {indices}: pass at least one, sorted by index, without repeats")


def _check_size(size: tuple[int, int], grid: int) -> None:
    if any(side < grid or side % grid for side in size):
        raise ValueError(
            f"size {size}: use multiples of {grid}, the model's grid (fairy.media.frames.fit_size)"
        )
