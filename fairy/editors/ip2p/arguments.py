"""Check and convert diffusers' arguments of `FairyPipeline.__call__`, and reject some.

Tests: tests/editors/ip2p/test_call.py.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from fairy.editors.images import OUTPUT_TYPES, fit_to_grid
from fairy.editors.ip2p.denoise import StepCallback
from fairy.errors import SettingsError
from fairy.media.frames import fit_size
from fairy.options import Option, checked
from fairy.settings import MAX_SIZE, EditConfig, Shortcuts

logger = logging.getLogger(__name__)

Callback = Callable[[Any, int, Tensor, dict[str, Tensor]], dict[str, Tensor]]
"""(pipeline, step, timestep, tensors by name) -> those to replace, as in diffusers."""

_SIDE = Option(min=1, max=MAX_SIZE)
CALLBACK_TENSORS = ("latents", "prompt_embeds", "image_latents")

# Settings that only stock pipelines have (fairy.editors.stock)
STOCK_OPTIONS = (
    "balance", "anchor_position", "anchor_damping", "anchors_as", "text_from", "anchor_cache",
)  # fmt: skip
_ONE_RESULT = "every frame has one result; call the pipeline again with another generator"
_OLD_CALLBACK = "diffusers replaced it; use callback_on_step_end"
UNSUPPORTED = {
    "image": "pass the clip as `frames`",
    "num_images_per_prompt": _ONE_RESULT,
    "num_videos_per_prompt": _ONE_RESULT,
    "ip_adapter_image": "image prompts are not supported",
    "ip_adapter_image_embeds": "image prompts are not supported",
    "callback": _OLD_CALLBACK,
    "callback_steps": _OLD_CALLBACK,
}


def refuse_unsupported(
    others: Mapping[str, Any], prompt: object, negative_prompt: object, generator: object
) -> None:
    """Reject arguments of diffusers' pipeline that cannot work for a clip.

    Args:
        others: arguments, by name, that `FairyPipeline.__call__` does not have.
        prompt: must be one text.
        negative_prompt: must be one text or None.
        generator: must not be a list.

    Raises:
        TypeError: diffusers does not have the argument either.
        ValueError: diffusers has it; the message gives the reason.
    """
    for name, value in others.items():
        if name not in UNSUPPORTED:
            raise TypeError(f"FairyPipeline.__call__() got an unexpected argument {name!r}")
        # Callers may always pass diffusers' own default
        if value is not None and not (name.startswith("num_") and value == 1):
            raise ValueError(f"{name}: {UNSUPPORTED[name]}")
    for name, text in (("prompt", prompt), ("negative_prompt", negative_prompt)):
        if text is not None and not isinstance(text, str):
            raise ValueError(f"{name} is a {type(text).__name__}: a clip has one; pass a str")
    if isinstance(generator, list | tuple):
        raise ValueError(
            f"generator is a {type(generator).__name__}: all frames share one noise, which keeps "
            "them consistent; pass one generator or a seed"
        )


def check_forms(
    prompt: str | None, prompt_embeds: Tensor | None, output_type: object, shortcuts: object
) -> None:
    """Check the arguments that are not settings.

    Raises:
        ValueError: an argument is invalid, or there is not exactly one of `prompt` and
            `prompt_embeds`.
    """
    if output_type not in OUTPUT_TYPES:
        raise ValueError(f"output_type {output_type!r}: use {', '.join(OUTPUT_TYPES)}")
    if not isinstance(shortcuts, Shortcuts):
        raise ValueError(f"shortcuts is {shortcuts!r}: pass fairy.Shortcuts.of('fast')")
    if prompt is None and prompt_embeds is None:
        raise ValueError('prompt is None: say what to change, as in "make it snow"')
    if prompt is not None and prompt_embeds is not None:
        raise ValueError("prompt and prompt_embeds: pass one of them")


def call_size(
    own: tuple[int, int], height: Any, width: Any, longest: int, grid: int
) -> tuple[int, int]:
    """Return the (height, width) at which the model works on frames of size `own`.

    Args:
        own: (height, width) of the frames.
        height: the requested height; rounded to the grid.
        width: likewise.
        longest: the model's size; frames with a longer side are shrunk to it.
        grid: the model's grid.

    Raises:
        SettingsError: `height` or `width` is invalid.
    """
    height = checked("height", height, int | None, _SIDE)
    width = checked("width", width, int | None, _SIDE)
    if height is None and width is None and max(own) > longest:
        size = fit_size(*own, size=longest, multiple=grid)
        logger.info("edited at %dx%d, detail of %dx%d kept", *size[::-1], *own[::-1])
        return size
    return fit_to_grid((height or own[0], width or own[1]), grid)


def refuse_stock_options(settings: EditConfig) -> None:
    """Reject settings that only the editor for stock pipelines has (`fairy.editors.stock`).

    Raises:
        SettingsError: one of them differs from its default.
    """
    for name in STOCK_OPTIONS:
        value = getattr(settings, name)
        if value != getattr(EditConfig, name):
            raise SettingsError(
                f"{name} is {value}: InstructPix2Pix models do not have it; leave it out"
            )


def step_callback(
    pipe: object, callback: Callback | None, names: Sequence[str]
) -> StepCallback | None:
    """Bind diffusers' `callback` to `pipe` and to the tensors in `names`.

    Raises:
        ValueError: a name is not in `CALLBACK_TENSORS`, or `callback` is a `PipelineCallback`.
    """
    if callback is None:
        return None
    if isinstance(callback, PipelineCallback | MultiPipelineCallbacks):
        raise ValueError(
            f"callback_on_step_end is a {type(callback).__name__}: it would change the guidance of "
            "the pipeline, which other edits share; pass a function, or end guidance early with "
            "guidance_interval"
        )
    if unknown := [name for name in names if name not in CALLBACK_TENSORS]:
        raise ValueError(
            f"callback_on_step_end_tensor_inputs has {unknown[0]!r}: use "
            f"{', '.join(CALLBACK_TENSORS)}"
        )

    def on_step_end(step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return callback(pipe, step, timestep, {name: tensors[name] for name in names}) or {}

    return on_step_end
