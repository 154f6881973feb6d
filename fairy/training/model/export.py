"""Write a trained editor in float16, as a folder for `fairy edit --model` and diffusers.

Tests: tests/training/model/test_export.py.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

from diffusers import AutoencoderTiny, StableDiffusionInstructPix2PixPipeline
from safetensors.torch import load_file, save_file
from torch import nn

from fairy.models.defaults import ModelDefaults, save_defaults
from fairy.training.model.editor_parts import EditorParts

# Small models are split into files that a repository accepts without large-file storage.
SMALL_SHARD_SIZE, SHARD_SIZE = "15MB", "10GB"
SMALL_MODEL_PARAMETERS = 50_000_000
LORA_FILE = "lora.safetensors"


def export_pipeline(parts: EditorParts, folder: Path, card: str) -> None:
    """Write the pipeline; `parts` keep their precision.

    A LoRA is merged into the UNet's weights, so the folder is complete. It is also written as a
    separate file, for use with other models of the same type.

    Args:
        parts: the trained parts.
        folder: replaced, except for a model card in it.
        card: the model card; written only if there is none yet.
    """
    kept = folder / "README.md"
    text = kept.read_text(encoding="utf-8") if kept.exists() else card
    shutil.rmtree(folder, ignore_errors=True)
    half = _half(parts.pipeline)
    folder.mkdir(parents=True)
    if getattr(half.unet, "peft_config", None):
        _write_lora(half.unet, folder / LORA_FILE)
    small = sum(weight.numel() for weight in half.unet.parameters()) < SMALL_MODEL_PARAMETERS
    shard_size = SMALL_SHARD_SIZE if small else SHARD_SIZE
    half.save_pretrained(folder, safe_serialization=True, max_shard_size=shard_size)
    _make_text_encoder_portable(folder / "text_encoder")
    _drop_settings(folder, half)
    shutil.rmtree(folder / "tokenizer")
    shutil.copytree(parts.tokenizer_folder, folder / "tokenizer")
    if parts.defaults != ModelDefaults():
        save_defaults(parts.defaults, folder)
    (folder / "README.md").write_text(text, encoding="utf-8")
    _make_readable(folder)


def _half(
    pipeline: StableDiffusionInstructPix2PixPipeline,
) -> StableDiffusionInstructPix2PixPipeline:
    """Return a copy of the pipeline in float16, without a safety checker."""
    names = ("vae", "text_encoder", "unet")
    copies = {name: copy.deepcopy(getattr(pipeline, name)).half() for name in names}
    others = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    parts = {**pipeline.components, **copies, **others}
    return StableDiffusionInstructPix2PixPipeline(**parts, requires_safety_checker=False)


def _write_lora(unet: nn.Module, path: Path) -> None:
    """Write the LoRA, then merge it into the UNet's weights."""
    from peft import get_peft_model_state_dict

    StableDiffusionInstructPix2PixPipeline.save_lora_weights(
        path.parent, unet_lora_layers=get_peft_model_state_dict(unet), weight_name=path.name
    )
    unet.fuse_lora()  # type: ignore[operator]
    unet.unload_lora()  # type: ignore[operator]


def _make_text_encoder_portable(folder: Path) -> None:
    """Rewrite what transformers 5 saves (seen in 5.23) so that every version loads it the same way.

    Its weight names lack the prefix `text_model.` of every published CLIPTextModel, so transformers
    4 would match none of them and keep random weights. Its configuration says float16, so
    transformers 5 would load float16 while diffusers loads the other parts in float32.
    """
    path = folder / "model.safetensors"
    weights = {f"text_model.{k.removeprefix('text_model.')}": v for k, v in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    settings = json.loads((folder / "config.json").read_text())
    settings.pop("dtype", None)
    settings["torch_dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n")


def _drop_settings(folder: Path, pipeline: StableDiffusionInstructPix2PixPipeline) -> None:
    """Remove local paths from the configuration, and what AutoencoderTiny derives itself."""
    derived = {"block_out_channels"} if isinstance(pipeline.vae, AutoencoderTiny) else set()
    for path, names in (
        (folder / "vae" / "config.json", {"_name_or_path"} | derived),
        (folder / "unet" / "config.json", {"_name_or_path"}),
        (folder / "model_index.json", {"_name_or_path"}),
    ):
        settings = json.loads(path.read_text())
        kept = {name: value for name, value in settings.items() if name not in names}
        path.write_text(json.dumps(kept, indent=2) + "\n")


def _make_readable(folder: Path) -> None:
    """Set the usual file permissions; safetensors writes files that only their owner can read."""
    mode = (folder / "README.md").stat().st_mode
    for path in folder.rglob("*.safetensors"):
        path.chmod(mode)
