"""FairyPipeline: diffusers' InstructPix2Pix pipeline, for clips.

frames (T,H,W,3) + instruction -> edited frames. Components, loading, saving, LoRA and offloading
are diffusers'; the method is in the other files of this folder.
Tests: tests/editors/ip2p/test_pipeline.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderTiny
from diffusers.utils.outputs import BaseOutput
from torch import Tensor

from fairy.anchors.backends import Backend
from fairy.anchors.selection import check_anchor_indices, select_shot_anchors
from fairy.editors.batches import FrameBatches, choose_frame_batch_size, free_bytes
from fairy.editors.images import (
    OUTPUT_TYPES,
    Frame,
    fit_to_grid,
    frame_size,
    join_outputs,
    read_at_size,
    to_output,
)
from fairy.editors.ip2p.denoise import Denoiser, make_denoiser
from fairy.editors.ip2p.guidance import Guidance
from fairy.editors.ip2p.latents import make_generator
from fairy.editors.ip2p.memory import EditShape, edit_memory
from fairy.editors.ip2p.prompt import encode_instruction
from fairy.editors.ip2p.session import ClipEdit, UsedSettings
from fairy.editors.timing import Stages
from fairy.media.shots import shots_from
from fairy.models.base import SafePipeline, StableDiffusionInstructPix2PixPipeline
from fairy.models.blueprint import Blueprint
from fairy.models.registry import load_pipeline
from fairy.settings import EXACT, Shortcuts

Number = TypeVar("Number", int, float)


@dataclass
class FairyPipelineOutput(BaseOutput):  # type: ignore[misc]
    """The edited frames.

    Attributes:
        frames: uint8 (T,H,W,3), float (T,3,H,W) in [-1,1], PIL images or latents (T,C,h,w).
    """

    frames: Any


class FairyPipeline(SafePipeline):
    """Edits a clip by an instruction, with anchor frames (the Fairy method).

    Attributes:
        defaults: settings used where a call gives none (of `SafePipeline`).
        decoder: a tiny autoencoder to decode with in place of `vae`
            (`fairy.editors.ip2p.levers.tiny_decoder`).
        used: what the settings of the last edit came to.
        stages: seconds of the last edit's arithmetic, by stage.
    """

    decoder: AutoencoderTiny | None = None
    used: UsedSettings | None = None
    stages: Stages | None = None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        torch_dtype: str | torch.dtype | None = None,
        **kwargs: Any,
    ) -> FairyPipeline:
        """Load "mini", a folder, a `.safetensors` file or a hub id; safetensors only.

        Args:
            pretrained_model_name_or_path: the model.
            device: "auto" or a torch device; the CPU when None, as in diffusers.
            dtype: "auto", a name or a torch dtype; float32 when None, as in diffusers.
            torch_dtype: diffusers' other name for `dtype`.
            **kwargs: handed to diffusers.

        Raises:
            ModelError: the model cannot be found or loaded.
        """
        wanted = dtype if dtype is not None else torch_dtype
        pipe, defaults = load_pipeline(
            pretrained_model_name_or_path,
            device="cpu" if device is None else device,
            dtype=torch.float32 if wanted is None else wanted,
            **kwargs,
        )
        fairy = cls.from_pipe(pipe)
        fairy.defaults = defaults
        return fairy

    @classmethod
    def from_pipe(
        cls, pipeline: StableDiffusionInstructPix2PixPipeline, **kwargs: Any
    ) -> FairyPipeline:
        """Share a loaded pipeline's components, but for `kwargs`; nothing is cast or offloaded."""
        checked = pipeline.config.requires_safety_checker
        fairy = cls(**{**pipeline.components, "requires_safety_checker": checked, **kwargs})
        fairy.defaults = getattr(pipeline, "defaults", cls.defaults)
        return fairy

    def __call__(
        self,
        frames: Sequence[Frame] | Any,
        prompt: str,
        *,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        image_guidance_scale: float | None = None,
        negative_prompt: str = "",
        num_anchors: int = 3,
        anchor_indices: Sequence[int] | None = None,
        shots: Sequence[int] = (),
        anchor_strength: float = 1.0,
        frame_batch_size: int | None = None,
        generator: torch.Generator | int | None = None,
        backend: str | Backend = "auto",
        anchor_cache_device: str | torch.device | None = None,
        shortcuts: Shortcuts = EXACT,
        height: int | None = None,
        width: int | None = None,
        output_type: str = "np",
        eta: float = 0.0,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> FairyPipelineOutput:
        """Edit a clip in memory.

        `frames` is uint8 (T,H,W,3), float (T,3,H,W) in [-1,1] or a list of PIL images; `prompt`
        the instruction. `shots` names the first frames of shots, if it has cuts: each shot is
        edited as a clip of its own, with the same noise. `num_anchors` are spread evenly over
        each shot, unless `anchor_indices` names them. The other arguments are those of `stream`.
        """
        generator = make_generator(generator)
        clip_shots, noise = shots_from(shots, len(frames)), generator.get_state()
        anchors = select_shot_anchors(clip_shots, num_anchors, anchor_indices)
        batches: list[Any] = []
        for (first, end), indices in zip(clip_shots, anchors, strict=True):
            generator.set_state(noise)
            batches += self.stream(
                iter(frames[first:end]),
                prompt,
                anchor_frames=[frames[i] for i in indices],
                anchor_indices=indices,
                frame_indices=range(first, end),
                num_inference_steps=num_inference_steps,
                guidance_scale=guidance_scale,
                image_guidance_scale=image_guidance_scale,
                negative_prompt=negative_prompt,
                anchor_strength=anchor_strength,
                frame_batch_size=frame_batch_size,
                generator=generator,
                backend=backend,
                anchor_cache_device=anchor_cache_device,
                shortcuts=shortcuts,
                height=height,
                width=width,
                output_type=output_type,
                eta=eta,
                cross_attention_kwargs=cross_attention_kwargs,
            )
        assert self.used is not None
        self.used = replace(self.used, anchor_indices=tuple(chain.from_iterable(anchors)))
        return FairyPipelineOutput(frames=join_outputs(batches, output_type))

    def stream(
        self,
        frames: Iterable[Frame],
        prompt: str,
        *,
        anchor_frames: Sequence[Frame],
        anchor_indices: Sequence[int],
        frame_indices: Iterable[int] | None = None,
        anchor_store: Path | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        image_guidance_scale: float | None = None,
        negative_prompt: str = "",
        anchor_strength: float = 1.0,
        frame_batch_size: int | None = None,
        generator: torch.Generator | int | None = None,
        backend: str | Backend = "auto",
        anchor_cache_device: str | torch.device | None = None,
        shortcuts: Shortcuts = EXACT,
        height: int | None = None,
        width: int | None = None,
        output_type: str = "np",
        eta: float = 0.0,
        cross_attention_kwargs: dict[str, Any] | None = None,
    ) -> Iterator[Any]:
        """Edit a clip of any length; memory does not grow with it.

        The instruction is read and the anchors are edited at once, the frames as results are
        taken. `used` then says what the settings came to.

        Args:
            frames: frames of the clip in order, anchors included: each uint8 (H,W,3), float
                (3,H,W) in [-1,1], or a PIL image.
            prompt: the instruction.
            anchor_frames: the frames at `anchor_indices`.
            anchor_indices: which frames are anchors, sorted.
            frame_indices: the numbers of `frames`, counted as anchors are; 0, 1, 2, ... when None.
            anchor_store: file of the anchors' keys, values and results: read if there, else made.
            num_inference_steps: denoising steps; the model's default when None.
            guidance_scale: weight of the instruction; the model's default when None.
            image_guidance_scale: weight of the source; the model's default when None.
            negative_prompt: what the edit shall not look like.
            anchor_strength: factor on the anchors' weights in frames' attention; 0: no anchors.
            frame_batch_size: frames denoised together; from free memory when None.
            generator: a seed or a torch generator; a random seed when None.
            backend: "auto", "triton", "sdpa", "reference", or a `Backend` made elsewhere.
            anchor_cache_device: where the anchors' keys and values live; the model's when None.
            shortcuts: ways to a result sooner that is not the exact one; none.
            height: at which the model works, rounded to its grid; the frames' own when None.
            width: likewise.
            output_type: "np" (uint8), "pt" (float in [-1,1]), "pil" or "latent".
            eta: noise of DDIM; other schedulers ignore it.
            cross_attention_kwargs: as in diffusers, such as {"scale": 0.5} for a LoRA.

        Returns:
            Batches of edited frames in order, as `output_type` says: for "np" uint8 (F,H,W,3).

        Raises:
            InstructionError, SettingsError: an empty instruction; settings of no use here.
            ValueError: anchors that do not fit together, or an unknown output type.
        """
        if output_type not in OUTPUT_TYPES:
            raise ValueError(f"output_type {output_type!r}: use {', '.join(OUTPUT_TYPES)}")
        indices = check_anchor_indices(anchor_indices)
        if indices != list(anchor_indices) or len(indices) != len(anchor_frames):
            raise ValueError(
                f"{len(anchor_frames)} anchor_frames for anchor_indices {list(anchor_indices)}: "
                "pass one frame for each index, sorted and without repeats"
            )
        size = fit_to_grid(frame_size(anchor_frames[0]), height, width, self.vae_scale_factor)
        guidance = Guidance(
            _given(guidance_scale, self.defaults.guidance_scale),
            _given(image_guidance_scale, self.defaults.image_guidance_scale),
        )
        denoiser = make_denoiser(
            self,
            encode_instruction(self, prompt, negative_prompt, guidance),
            size,
            guidance=guidance,
            num_inference_steps=_given(num_inference_steps, self.defaults.num_inference_steps),
            generator=make_generator(generator),
            anchor_strength=anchor_strength,
            backend=backend,
            anchor_cache_device=anchor_cache_device,
            shortcuts=shortcuts,
            eta=eta,
            cross_attention_kwargs=cross_attention_kwargs,
        )
        if frame_batch_size is None:
            frame_batch_size = self._free_batch(denoiser, size, len(indices))
        batches = FrameBatches(frame_batch_size)
        edit = ClipEdit(self, denoiser, indices, batches, decode=output_type != "latent")
        edit.edit_anchors(torch.stack(list(read_at_size(anchor_frames, size))), anchor_store)
        self.used, self.stages = UsedSettings.of(denoiser, indices, batches.size, size), edit.stages
        indices_of = count() if frame_indices is None else frame_indices
        numbered = zip(indices_of, read_at_size(frames, size), strict=False)
        return self._outputs(edit.edit(numbered), output_type)

    def _free_batch(self, denoiser: Denoiser, size: tuple[int, int], num_anchors: int) -> int:
        """Return how many frames at a time the free memory has room for."""
        shape = EditShape.of(self, denoiser, size, num_anchors)
        memory = edit_memory(Blueprint.of(self.unet), Blueprint.of(self.vae), shape)
        device = self._execution_device
        return choose_frame_batch_size(device.type, free_bytes(device), memory)

    def _outputs(self, results: Iterator[Tensor], output_type: str) -> Iterator[Any]:
        try:
            for batch in results:
                yield to_output(batch, output_type)
        finally:
            self.maybe_free_model_hooks()


def _given(value: Number | None, default: Number) -> Number:
    return default if value is None else value
