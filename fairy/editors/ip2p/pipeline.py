"""FairyPipeline: diffusers' InstructPix2Pix pipeline for clips.

frames (T,H,W,3) + instruction -> edited frames. diffusers provides the components, loading,
saving, LoRA and offloading; the edit itself is in `session.py` and `denoise.py`.
Tests: tests/editors/ip2p/test_pipeline.py, tests/editors/ip2p/test_call.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from diffusers.utils.outputs import BaseOutput
from torch import Tensor

from fairy.anchors.attention import self_attention_head_dims
from fairy.anchors.backends import Backend, choose_backend
from fairy.anchors.selection import select_shot_anchors
from fairy.editors.base import Anchor, EditInput, EditorIdentity, UsedSettings
from fairy.editors.batches import EditMemory
from fairy.editors.identity import identity_of
from fairy.editors.images import clip_frames, frame_size, join_outputs, to_output
from fairy.editors.ip2p.arguments import (
    Callback,
    call_size,
    check_forms,
    refuse_unsupported,
    step_callback,
)
from fairy.editors.ip2p.latents import encode_images, make_generator
from fairy.editors.ip2p.memory import EditShape, edit_memory
from fairy.editors.ip2p.session import CallOptions, Ip2pSession
from fairy.media.shots import shots_from
from fairy.models.base import SafePipeline, StableDiffusionInstructPix2PixPipeline
from fairy.models.blueprint import Blueprint
from fairy.models.defaults import FILE_NAME, ModelDefaults, model_defaults
from fairy.models.pointwise import make_pointwise
from fairy.models.registry import load_pipeline
from fairy.settings import EXACT, EditConfig, Shortcuts


@dataclass
class FairyPipelineOutput(BaseOutput):  # type: ignore[misc]
    """The edited frames, and the settings that were used.

    Attributes:
        frames: uint8 (T,H,W,3), float (T,3,H,W) in [0,1], PIL images or latents (T,C,h,w).
        used: the settings that were used; for several shots, all anchors and the smallest batch.
    """

    frames: Any
    used: UsedSettings


class FairyPipeline(SafePipeline):
    """Edits a clip according to an instruction, with anchor frames (the Fairy method).

    This is an `Editor` (`fairy.editors.base`). Each edit keeps its state in its session, so edits
    in several threads can share one pipeline.

    Attributes:
        defaults: the model's values for settings that an edit leaves out (from `SafePipeline`).
        decoder: a tiny autoencoder that decodes instead of `vae`
            (`fairy.editors.ip2p.levers.tiny_decoder`).
    """

    decoder: AutoencoderTiny | None = None

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
            device: "auto" or a torch device; None means the CPU, as in diffusers.
            dtype: "auto", a name or a torch dtype; None means float32, as in diffusers.
            torch_dtype: diffusers' other name for `dtype`.
            **kwargs: passed to diffusers.

        Raises:
            ModelError: the model cannot be found or loaded.
        """
        target = dtype if dtype is not None else torch_dtype
        pipe, defaults = load_pipeline(
            pretrained_model_name_or_path,
            device="cpu" if device is None else device,
            dtype=torch.float32 if target is None else target,
            **kwargs,
        )
        make_pointwise(pipe)
        fairy = cls.from_pipe(pipe)
        fairy.defaults = defaults
        return fairy

    @classmethod
    def from_pipe(
        cls, pipeline: StableDiffusionInstructPix2PixPipeline, **kwargs: Any
    ) -> FairyPipeline:
        """Share a loaded pipeline's components; `kwargs` replace some. Casts or offloads nothing.

        Keeps the model's defaults and the progress bar's settings.
        """
        checked = pipeline.config.requires_safety_checker
        fairy = cls(**{**pipeline.components, "requires_safety_checker": checked, **kwargs})
        fairy.defaults = _defaults_of(pipeline)
        fairy.set_progress_bar_config(**getattr(pipeline, "_progress_bar_config", {}))
        return fairy

    @property
    def grid(self) -> int:
        """Heights and widths must be multiples of this many pixels."""
        return int(self.vae_scale_factor)

    def begin(
        self,
        prompt: str,
        anchors: Sequence[Anchor],
        settings: EditConfig,
        *,
        size: tuple[int, int],
        anchor_store: Path | None = None,
        options: CallOptions | None = None,
    ) -> Ip2pSession:
        """Edit the anchors and return the session that edits the other frames.

        The arguments are those of `fairy.editors.base.Editor.begin`; `options` are for Python
        callers that need more than settings.
        """
        return Ip2pSession(
            self,
            prompt,
            anchors,
            settings,
            size=size,
            anchor_store=anchor_store,
            options=options,
        )

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Return the latents (F,C,h,w), float32 on the CPU, of images (F,3,H,W) in [-1,1]."""
        return encode_images(self.vae, images.to(self.vae.device)).float().cpu()

    def identity(self) -> EditorIdentity:
        """Identify what determines an edit's result besides the settings."""
        parts = (self.unet, self.vae, self.text_encoder)
        return identity_of(parts, self.scheduler, self.defaults, where=self.unet)

    def memory(
        self, settings: EditConfig, *, size: tuple[int, int], num_anchors: int
    ) -> EditMemory:
        """Return the memory that an edit with these settings needs besides the weights."""
        settings = self.defaults.fill(settings)
        if settings.backend == "auto":
            head_dims = self_attention_head_dims(self.unet)
            backend = choose_backend("auto", self._execution_device, head_dims)
            settings = replace(settings, backend=backend.name)
        shape = EditShape.of(self, settings, size, num_anchors)
        return edit_memory(Blueprint.of(self.unet), Blueprint.of(self.vae), shape)

    @torch.no_grad()
    def __call__(
        self,
        frames: Any,
        prompt: str | None = None,
        *,
        num_inference_steps: int | None = None,
        timesteps: Sequence[int] | None = None,
        sigmas: Sequence[float] | None = None,
        guidance_scale: float | None = None,
        image_guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        num_anchors: int = 3,
        anchor_indices: Sequence[int] | None = None,
        shots: Sequence[int] = (),
        anchor_strength: float = 1.0,
        frame_batch_size: int | None = None,
        generator: torch.Generator | int | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        backend: str | Backend = "auto",
        anchor_cache_device: str | torch.device | None = None,
        shortcuts: Shortcuts = EXACT,
        height: int | None = None,
        width: int | None = None,
        output_type: str = "np",
        return_dict: bool = True,
        eta: float = 0.0,
        cross_attention_kwargs: dict[str, Any] | None = None,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        **unsupported: Any,
    ) -> FairyPipelineOutput:
        """Edit a clip in memory; for clips of any length, use `begin`.

        Args:
            frames: uint8 (T,H,W,3), a list of PIL images, or floats in [0,1], as (T,H,W,3) or
                tensors (T,3,H,W). As in diffusers, floats are read as [-1,1] if any is below 0.
                Frames with a side longer than the model's size are edited at that size and
                enlarged with their own detail.
            prompt: the instruction.
            num_inference_steps: denoising steps; None means the model's default.
            timesteps: as in diffusers, instead of `num_inference_steps`.
            sigmas: as in diffusers, instead of `num_inference_steps`.
            guidance_scale: weight of the instruction; None means the model's default.
            image_guidance_scale: weight of the source; None means the model's default.
            negative_prompt: what the edit should avoid.
            num_anchors: anchor frames, spread evenly over each shot.
            anchor_indices: the anchor frames, instead of `num_anchors`.
            shots: first frames of shots, if the clip has cuts. Each shot is edited as a separate
                clip, from the same noise.
            anchor_strength: factor on the anchors' weights in the frames' attention; 0 ignores
                them.
            frame_batch_size: frames denoised together; None chooses by free memory.
            generator: a seed or a torch generator; None draws a random seed.
            latents: the noise (1,C,h,w) that all frames start from; None draws it.
            prompt_embeds: (1,L,D), instead of `prompt`.
            negative_prompt_embeds: (1,L,D), instead of `negative_prompt`.
            backend: "auto", "triton", "sdpa", "reference", or a `Backend` object.
            anchor_cache_device: where the anchors' keys and values are kept; None means the
                model's device.
            shortcuts: faster modes with a result close to the exact one; none by default.
            height: height at which the model works, rounded to its grid; also the result's height.
            width: likewise.
            output_type: "np" (uint8), "pt" (float (T,3,H,W) in [0,1]), "pil" or "latent".
            return_dict: return a `FairyPipelineOutput` instead of the tuple (frames,).
            eta: noise of DDIM; other schedulers ignore it.
            cross_attention_kwargs: as in diffusers, such as {"scale": 0.5} for a LoRA.
            callback_on_step_end: called as in diffusers with (pipeline, step, timestep, tensors)
                after every step of the anchors and of each batch. The tensors that it returns
                replace those passed in. On the CPU a single frame has two equal rows.
            callback_on_step_end_tensor_inputs: names of the tensors to pass: "latents",
                "prompt_embeds" or "image_latents".
            **unsupported: arguments of diffusers' pipeline that make no sense for a clip; they
                raise an error that gives the reason.

        Raises:
            InstructionError, SettingsError: an empty instruction; invalid settings.
            ValueError, TypeError: an unsupported argument; frames that are not a clip.
        """
        refuse_unsupported(unsupported, prompt, negative_prompt, generator)
        check_forms(prompt, prompt_embeds, output_type, shortcuts)
        clip = clip_frames(frames)
        settings = EditConfig(
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            image_guidance_scale=image_guidance_scale,
            negative_prompt=negative_prompt or "",
            num_anchors=num_anchors,
            anchor_indices=anchor_indices,  # type: ignore[arg-type]  # converted by its option
            anchor_strength=anchor_strength,
            frame_batch_size=frame_batch_size,
            backend=backend.name if isinstance(backend, Backend) else backend,
            anchor_cache_device=None if anchor_cache_device is None else str(anchor_cache_device),
            guidance_interval=shortcuts.guidance_interval,
            reuse=shortcuts.reuse,
        )
        generator = make_generator(generator)
        options = CallOptions(
            generator=generator,
            backend=backend if isinstance(backend, Backend) else None,
            eta=eta,
            cross_attention_kwargs=cross_attention_kwargs,
            on_step_end=step_callback(
                self, callback_on_step_end, callback_on_step_end_tensor_inputs
            ),
            latents=latents,
            prompt_embeds=prompt_embeds,
            negative_prompt_embeds=negative_prompt_embeds,
            timesteps=timesteps,
            sigmas=sigmas,
            decode=output_type != "latent",
        )
        own = frame_size(clip[0])
        size = call_size(own, height, width, self.defaults.size, self.grid)
        shown = own if height is None and width is None else size
        clip_shots, noise = shots_from(shots, len(clip)), generator.get_state()
        anchors = select_shot_anchors(clip_shots, num_anchors, settings.anchor_indices)
        outputs: list[Any] = []
        used: list[UsedSettings] = []
        with self.progress_bar(total=len(clip)) as bar:
            for (first, end), indices in zip(clip_shots, anchors, strict=True):
                generator.set_state(noise)
                chosen = [Anchor(index, clip[index]) for index in indices]
                inputs = (EditInput(index, clip[index]) for index in range(first, end))
                text = prompt or ""
                with self.begin(text, chosen, settings, size=size, options=options) as session:
                    while batch := list(islice(inputs, session.batch_size)):
                        results = session.edit_tensors(batch)
                        sources = [one.source for one in batch]
                        outputs.append(to_output(results, output_type, sources, shown))
                        bar.update(len(batch))
                    used.append(session.used)
        joined = join_outputs(outputs, output_type)
        if not return_dict:
            return (joined,)  # type: ignore[return-value]  # as diffusers' pipelines do
        return FairyPipelineOutput(frames=joined, used=_together(used))


def _defaults_of(pipeline: StableDiffusionInstructPix2PixPipeline) -> ModelDefaults:
    """Return a pipeline's defaults; for a plain one, those in the folder it was loaded from."""
    if isinstance(pipeline, SafePipeline):
        return pipeline.defaults
    folder = Path(str(pipeline.config.get("_name_or_path") or ""), FILE_NAME).parent
    return model_defaults(folder) if (folder / FILE_NAME).is_file() else ModelDefaults()


def _together(used: Sequence[UsedSettings]) -> UsedSettings:
    """Merge the settings used for a clip's shots: all anchors, the smallest batch size."""
    return replace(
        used[-1],
        anchor_indices=tuple(chain.from_iterable(one.anchor_indices for one in used)),
        frame_batch_size=min(one.frame_batch_size for one in used),
    )
