"""Peak memory of an edit: one formula, for planning and for choosing the batch size.

    on the model's device = weights + max(anchors' pass, keys and values + F * bytes of a frame)

The anchors' keys and values are 2 * steps * sum over layers of G*M*H*D elements. To find these and
all other tensors of a pass, the edit's own code runs on tensors without values
(`fairy.editors.live_bytes`): one step of the anchors' pass and of the frames' pass, and the
autoencoder.
Sizes are (height, width).
Tests: tests/editors/ip2p/test_memory.py; figures: docs/memory.md.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from fairy.anchors.backends import Backend
from fairy.anchors.cache import AnchorCache
from fairy.editors.batches import EditMemory
from fairy.editors.ip2p.denoise import Denoiser
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.latents import ClipNoise, decode_latents, encode_images
from fairy.editors.live_bytes import counted
from fairy.models.blueprint import META, Blueprint
from fairy.settings import EditConfig
from fairy_kernels.reference import anchor_attention_reference, attention_reference
from fairy_kernels.sdpa import anchor_attention_concatenated, sdpa

if TYPE_CHECKING:
    from diffusers import StableDiffusionInstructPix2PixPipeline

# A batch holds little besides its frames, so two frames are enough to find the bytes of one
TRACED_FRAMES = 2


@dataclass(frozen=True, kw_only=True)
class EditShape:
    """What an edit's memory depends on besides its models.

    Attributes:
        size: (height, width) at which the model works, on its grid.
        num_anchors: anchors A, which are edited together.
        num_steps: evaluations of the UNet.
        guidance: determines the guidance branches.
        prompt_shape: (L,D) of an instruction's embedding.
        dtype: dtype of the latents.
        backend: "triton", "sdpa" or "reference"; any other counts as "sdpa".
        on_host: whether the model runs on the CPU, whose memory also holds the frames.
        cache_far: whether the anchors' keys and values are in the host's memory and the model is
            not.
    """

    size: tuple[int, int]
    num_anchors: int
    num_steps: int
    guidance: Guidance
    prompt_shape: tuple[int, int]
    dtype: torch.dtype
    backend: str = "sdpa"
    on_host: bool = False
    cache_far: bool = False

    @property
    def num_groups(self) -> int:
        """Guidance branches."""
        return self.guidance.num_groups

    @classmethod
    def of(
        cls,
        pipe: StableDiffusionInstructPix2PixPipeline,
        settings: EditConfig,
        size: tuple[int, int],
        num_anchors: int,
    ) -> EditShape:
        """Return the shape of an edit with a loaded model.

        Args:
            pipe: the model.
            settings: with the model's defaults filled in, and a backend by name.
            size: (height, width).
            num_anchors: anchors A.
        """
        device = pipe._execution_device
        assert settings.num_inference_steps is not None
        assert settings.guidance_scale is not None
        assert settings.image_guidance_scale is not None
        return cls(
            size=size,
            num_anchors=num_anchors,
            num_steps=num_evaluations(pipe.scheduler, settings.num_inference_steps),
            guidance=Guidance(settings.guidance_scale, settings.image_guidance_scale),
            prompt_shape=(pipe.tokenizer.model_max_length, pipe.unet.config.cross_attention_dim),
            dtype=pipe.unet.dtype,
            backend=settings.backend,
            on_host=device.type == "cpu",
            cache_far=torch.device(settings.anchor_cache_device or device).type != device.type,
        )


def edit_memory(unet: Blueprint, vae: Blueprint, shape: EditShape) -> EditMemory:
    """Return the memory that an edit of this shape needs."""
    steps = shape.num_steps
    one = _one_step(unet, vae, replace(shape, num_steps=1))
    near = (min(steps, 2) if shape.cache_far else steps) * one.cache
    # With the cache elsewhere, the anchors' pass keeps none of it; else it keeps that of all steps
    anchors = one.anchors if shape.cache_far else one.anchors + (steps - 1) * one.cache
    # Float32 images: the host holds the frames as they were read, and as one batch
    image = 3 * shape.size[0] * shape.size[1] * torch.float32.itemsize if shape.on_host else 0
    return EditMemory(
        cache=steps * one.cache,
        held=near + shape.num_anchors * image,
        anchors=anchors + shape.num_anchors * image,
        frame=one.frame + 2 * image,
    )


class _OneStep(NamedTuple):
    """Bytes of an edit with one step: the cache's, and at the peak of each pass."""

    cache: int
    anchors: int
    frame: int


# One shape for all shots and clips of a list of edits
@lru_cache(maxsize=32)
def _one_step(unet: Blueprint, vae: Blueprint, shape: EditShape) -> _OneStep:
    trace = _Trace(unet, vae, shape)
    cache = AnchorCache(META, META)
    anchors = trace.anchors(cache)
    if shape.cache_far:
        anchors = trace.anchors(_Away(META, META))
    return _OneStep(cache.num_bytes, anchors, trace.frame(cache))


def num_evaluations(scheduler: Any, num_inference_steps: int) -> int:
    """Return how often the UNet runs; with some schedulers, more often than once a step."""
    scheduler = copy.deepcopy(scheduler)
    scheduler.set_timesteps(num_inference_steps)
    return len(scheduler.timesteps)


class _Trace:
    """Runs the parts of an edit on the meta device."""

    def __init__(self, unet: Blueprint, vae: Blueprint, shape: EditShape) -> None:
        self._shape, self._unet, self._vae = shape, unet.build(shape.dtype), vae.build(shape.dtype)
        shrink = 2 ** (len(self._vae.config.block_out_channels) - 1)
        height, width = (side // shrink for side in shape.size)
        self._latents = (self._vae.config.latent_channels, height, width)

    def anchors(self, cache: AnchorCache) -> int:
        """Return the peak of one step of the anchors' pass, which fills the cache."""
        denoiser = self._denoiser(cache)
        return _peak(denoiser.edit_anchors, self._rows(self._shape.num_anchors))

    def frame(self, cache: AnchorCache) -> int:
        """Return the most bytes that one frame of a batch needs at any stage."""
        shape, vae, latents = self._shape, self._vae, self._rows(TRACED_FRAMES)
        images = partial(torch.empty, TRACED_FRAMES, 3, *shape.size, device=META)
        most = max(
            _peak(partial(encode_images, vae), images),
            _peak(self._denoiser(cache).edit_frames, latents),
            _peak(partial(decode_latents, vae), latents),
        )
        return -(-most // TRACED_FRAMES)

    def _rows(self, num_rows: int) -> Callable[[], Tensor]:
        return partial(torch.empty, num_rows, *self._latents, dtype=self._shape.dtype, device=META)

    def _denoiser(self, cache: AnchorCache) -> Denoiser:
        shape = self._shape
        groups = (shape.guidance.num_groups, *shape.prompt_shape)
        return Denoiser(
            unet=self._unet,
            scheduler=_SingleStepScheduler(),
            num_inference_steps=1,
            prompt_embeds=torch.empty(groups, dtype=shape.dtype, device=META),
            guidance=shape.guidance,
            noise=ClipNoise.draw(torch.Generator(), self._latents, META, shape.dtype),
            backend=BACKENDS.get(shape.backend, BACKENDS["sdpa"]),
            cache=cache,
        )


def _peak(work: Callable[[Tensor], Tensor], rows: Callable[[], Tensor]) -> int:
    """Return the most bytes that `work` on `rows` holds at once, including the rows."""
    with counted() as live:
        work(rows())
    return live.peak


class _Away(AnchorCache):
    """A cache that keeps nothing, because its entries are not on the model's device."""

    def put(self, step: int, layer: str, k: Tensor, v: Tensor) -> None:
        """Drop k and v."""


class _SingleStepScheduler:
    """A scheduler with one step; diffusers' own read values, which meta tensors do not have."""

    timesteps = torch.zeros(1)
    init_noise_sigma = 1.0

    def set_timesteps(self, num_inference_steps: int, device: torch.device) -> None:
        """Do nothing: the only timestep is 0."""

    def scale_model_input(self, rows: Tensor, timestep: Tensor) -> Tensor:
        """Return the rows."""
        return rows

    def step(self, noise_pred: Tensor, timestep: Tensor, latents: Tensor) -> Any:
        """Return new latents."""
        return SimpleNamespace(prev_sample=latents + noise_pred)


def _in_place(q: Tensor, *others: Tensor) -> Tensor:
    return torch.empty_like(q)


# By backend, functions that allocate as much; the kernel reads everything in place
BACKENDS = {
    "triton": Backend("triton", "to count", _in_place, _in_place),
    "sdpa": Backend("sdpa", "to count", sdpa, anchor_attention_concatenated),
    "reference": Backend("reference", "to count", attention_reference, anchor_attention_reference),
}
