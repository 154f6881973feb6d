"""Write a run's model card: what was trained, on what data, how, and its known limits.

Tests: tests/training/model/test_card.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fairy import __version__
from fairy.system import processor
from fairy.training.config import TrainConfig
from fairy.training.data.affine import STILL, AffineRanges

# Folders on this machine and settings of one call do not describe the model.
PRIVATE = {"output", "images", "autoencoder", "start", "model", "data", "resume", "max_minutes"}
PRIVATE |= {"device", "pool_workers"}
# Sizes of new models; a finetuned model keeps those of its start.
SIZES = (
    *("latent_", "patch_", "correction_", "num_component_"),
    *("unet_", "head_", "text_", "edit_size"),
)

CARD = """---
library_name: diffusers
pipeline_tag: image-to-image
tags: [fairy, instruct-pix2pix, video-editing]
---
# {title}

{what} Trained by Fairy {version}'s trainer.

```
fairy edit in.mp4 "an instruction" -o out.mp4 --model THIS_FOLDER
```

It loads with `FairyPipeline.from_pretrained` and with diffusers' own
`StableDiffusionInstructPix2PixPipeline`.
Its licence is that of the model it was trained from and of its data.

## Training

{steps:,} of {max_steps:,} steps of {images:,} images, on {machine}.
The weights are the moving average.

| setting | value |
|---|---|
{settings}

Settings that are not listed have the defaults that `fairy train --explain` shows.

## Metrics at the end

| metric | value |
|---|---|
{metrics}

## Limits

{limits}
"""
EQUIVARIANT_LIMITS = (
    "Content that moves by itself (flames, rain, lightning) becomes static after equivariant "
    "finetuning, and camera instructions are not followed: the Fairy paper says so. "
)
LIMITS = "Not evaluated on clips by this run."


def model_card(
    config: TrainConfig, step: int, images_per_step: int, metrics: Mapping[str, float]
) -> str:
    """Return the model card of a run.

    Args:
        config: the recipe.
        step: steps done.
        images_per_step: images per step on all processes together.
        metrics: the newest metrics.
    """
    rows = [f"| {name} | {_words(value)} |" for name, value in changed_settings(config).items()]
    values = [f"| {name} | {value:.4g} |" for name, value in sorted(metrics.items())]
    return CARD.format(
        title=f"{config.output.resolve().name}: an editor of images and clips by instruction",
        what=_what(config),
        version=__version__,
        steps=step,
        max_steps=config.max_steps,
        images=images_per_step,
        machine=_machine(),
        settings="\n".join(rows),
        metrics="\n".join(values) or "| none | |",
        limits=(EQUIVARIANT_LIMITS if _is_equivariant(config) else "") + LIMITS,
    )


def changed_settings(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that differ from TrainConfig's defaults, except machine-specific ones."""
    finetuned = config.stage == "finetune"
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in PRIVATE
        and getattr(config, field.name) != field.default
        and not (finetuned and field.name.startswith(SIZES))
    }


def _what(config: TrainConfig) -> str:
    if config.stage == "editor":
        start = f"the weights `{_name(str(config.start))}`" if config.start else "random weights"
        return f"A small InstructPix2Pix-type model, trained from {start} on rendered scenes."
    data = f"`{_name(config.data)}`" if config.data else "rendered scenes"
    part = f"a LoRA of rank {config.lora_rank} of the UNet" if config.lora_rank else "the UNet"
    how = " equivariantly (Fairy, arXiv 2312.13834)" if _is_equivariant(config) else ""
    return f"`{_name(config.model)}`, of which {part} was finetuned{how} on {data}."


def _name(place: str | None) -> str:
    """Return a hub id unchanged, and only the last parts of a local folder."""
    return "/".join(Path(place or "").parts[-2:])


def _is_equivariant(config: TrainConfig) -> bool:
    return AffineRanges.of(config) != STILL


def _words(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    return ", ".join("x".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in value)


def _machine() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} threads of {processor()}"
