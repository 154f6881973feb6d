"""diffusers' arguments of `FairyPipeline.__call__`: the callback, and those that are refused.

Tests: tests/editors/ip2p/test_call.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from fairy.editors.ip2p.denoise import StepCallback

Callback = Callable[[Any, int, Tensor, dict[str, Tensor]], dict[str, Tensor]]
"""(pipeline, step, timestep, tensors by name) -> those to replace, as in diffusers."""

CALLBACK_TENSORS = ("latents", "prompt_embeds", "image_latents")

_ONE_RESULT = "every frame has one result; call the pipeline again with another generator"
_ENCODED_HERE = "the instruction is encoded once for all frames; pass it as `prompt`"
_OLD_CALLBACK = "diffusers replaced it; use callback_on_step_end"
UNSUPPORTED = {
    "image": "pass the clip as `frames`",
    "num_images_per_prompt": _ONE_RESULT,
    "num_videos_per_prompt": _ONE_RESULT,
    "latents": "all frames start from the same noise; choose it by `generator`",
    "prompt_embeds": _ENCODED_HERE,
    "negative_prompt_embeds": _ENCODED_HERE,
    "ip_adapter_image": "image prompts are not supported",
    "ip_adapter_image_embeds": "image prompts are not supported",
    "callback": _OLD_CALLBACK,
    "callback_steps": _OLD_CALLBACK,
}


def refuse_unsupported(
    others: Mapping[str, Any], prompt: object, negative_prompt: object, generator: object
) -> None:
    """Refuse arguments of diffusers' pipeline that cannot work for a clip.

    Args:
        others: arguments by name that are none of `FairyPipeline.__call__`'s.
        prompt: must be one text.
        negative_prompt: must be one text or None.
        generator: must not be a list.

    Raises:
        TypeError: an argument that diffusers does not know either.
        ValueError: one that it knows, with the reason.
    """
    for name, value in others.items():
        if name not in UNSUPPORTED:
            raise TypeError(f"FairyPipeline.__call__() got an unexpected argument {name!r}")
        # Callers that always pass diffusers' own default mean nothing by it
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


def step_callback(
    pipe: object, callback: Callback | None, names: Sequence[str]
) -> StepCallback | None:
    """Return diffusers' `callback`, bound to `pipe` and the tensors that it asks for.

    Raises:
        ValueError: a name that is not in `CALLBACK_TENSORS`, or a `PipelineCallback`.
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
