"""Write a trained editor as a folder that diffusers loads, in fp16 safetensors.

Tests: tests/training/test_export.py.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

from diffusers import StableDiffusionInstructPix2PixPipeline
from safetensors.torch import load_file, save_file

from fairy.config import TrainConfig
from fairy.training.phrases import all_phrases, known_instructions
from fairy.training.tokenizer import words_of

# A repository takes files of this size without large-file storage.
MAX_SHARD_SIZE = "15MB"
MODEL_CARD = """---
library_name: diffusers
pipeline_tag: image-to-image
license: apache-2.0
---
# {name}

A small InstructPix2Pix-type model, trained by Fairy's own trainer.
Load it with `FairyPipeline.from_pretrained` or diffusers' `StableDiffusionInstructPix2PixPipeline`.

<!-- data, steps, machine and metrics go here -->
"""


def export_pipeline(
    pipeline: StableDiffusionInstructPix2PixPipeline,
    config: TrainConfig,
    tokenizer_folder: Path,
    folder: Path,
) -> None:
    """Write the pipeline; `pipeline` itself keeps its precision.

    Args:
        pipeline: the trained parts.
        config: the run's, for the model's defaults.
        tokenizer_folder: the tokenizer's files, copied as they are: what transformers 5 would
            write instead, transformers 4 cannot load.
        folder: written anew, but a model card that is there is kept.
    """
    card = folder / "README.md"
    text = card.read_text() if card.exists() else MODEL_CARD.format(name=folder.name)
    shutil.rmtree(folder, ignore_errors=True)
    half = _half(pipeline)
    half.save_pretrained(folder, safe_serialization=True, max_shard_size=MAX_SHARD_SIZE)
    _make_text_encoder_portable(folder / "text_encoder")
    _drop_settings(folder / "vae", "block_out_channels", "_name_or_path")
    shutil.rmtree(folder / "tokenizer")
    shutil.copytree(tokenizer_folder, folder / "tokenizer")
    (folder / "fairy.json").write_text(json.dumps(_defaults(config), indent=1) + "\n")
    card.write_text(text)
    _make_readable(folder)


def _half(
    pipeline: StableDiffusionInstructPix2PixPipeline,
) -> StableDiffusionInstructPix2PixPipeline:
    """Return a copy of the pipeline in float16."""
    names = ("vae", "text_encoder", "unet")
    copies = {name: copy.deepcopy(getattr(pipeline, name)).half() for name in names}
    parts = {**pipeline.components, **copies}
    return StableDiffusionInstructPix2PixPipeline(**parts, requires_safety_checker=False)


def _make_text_encoder_portable(folder: Path) -> None:
    """Rewrite what transformers 5 saves (seen in 5.23) so that every version loads it alike.

    Its weights lack the prefix `text_model.` of every published CLIPTextModel: transformers 4
    would find none of the names and keep random weights. Its settings ask for float16, which it
    then obeys unasked, while diffusers loads the other parts in float32: they would not fit.
    """
    path = folder / "model.safetensors"
    weights = {f"text_model.{k.removeprefix('text_model.')}": v for k, v in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    settings = json.loads((folder / "config.json").read_text())
    settings.pop("dtype", None)
    settings["torch_dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n")


def _drop_settings(folder: Path, *names: str) -> None:
    """Take out of config.json what AutoencoderTiny derives anew, and a path of this machine."""
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    kept = {name: value for name, value in settings.items() if name not in names}
    path.write_text(json.dumps(kept, indent=2) + "\n")


def _make_readable(folder: Path) -> None:
    """Give each file the mode that any new file has here: safetensors' are the owner's alone."""
    mode = (folder / "fairy.json").stat().st_mode
    for path in folder.rglob("*.safetensors"):
        path.chmod(mode)


def _defaults(config: TrainConfig) -> dict[str, object]:
    """Return what `fairy.models.registry.model_defaults` reads."""
    return {
        "size": config.edit_size,
        "guidance_scale": config.guidance_scale,
        "image_guidance_scale": config.image_guidance_scale,
        "num_inference_steps": config.num_inference_steps,
        "instructions": known_instructions(),
        "words": words_of(all_phrases()),
    }
