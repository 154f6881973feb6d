"""The parts of the editor to train: new ones, or those of an existing model.

Tests: tests/training/model/test_editor_parts.py.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline

from fairy.errors import ModelError, SettingsError, require_package
from fairy.models.defaults import KnownEdit, ModelDefaults
from fairy.models.patch_autoencoder import PatchAutoencoder
from fairy.models.registry import load_pipeline
from fairy.synthetic.edits import COLOURLESS, EDITS
from fairy.synthetic.phrases import all_phrases, known_instruction, training_templates
from fairy.training.config import TrainConfig
from fairy.training.model.build import build_sampler, build_text_encoder, build_unet
from fairy.training.model.identity_init import initialise
from fairy.training.model.start import start_editor
from fairy.training.model.tokenizer import load_tokenizer, words_of, write_tokenizer

logger = logging.getLogger(__name__)

# Hu et al. 2022 and diffusers add a LoRA to the projections of every attention layer.
LORA_LAYERS = ["to_q", "to_k", "to_v", "to_out.0"]


@dataclass(frozen=True)
class EditorParts:
    """An editor in training; weights that require gradients are trained.

    Attributes:
        pipeline: diffusers' pipeline over the parts, in float32.
        defaults: the finished model's defaults.
        tokenizer_folder: the tokenizer's files.
    """

    pipeline: StableDiffusionInstructPix2PixPipeline
    defaults: ModelDefaults
    tokenizer_folder: Path


def new_editor(config: TrainConfig) -> EditorParts:
    """Build an editor of the recipe's sizes with random weights; UNet and text encoder train."""
    autoencoder = _load_autoencoder(config)
    tokenizer_folder = config.output / "tokenizer"
    # A resumed run keeps its vocabulary.
    if not (config.resume and tokenizer_folder.is_dir()):
        write_tokenizer(all_phrases(), tokenizer_folder, config.text_tokens)
    tokenizer = load_tokenizer(tokenizer_folder)
    grid, channels = autoencoder.config.patch_size, autoencoder.config.latent_channels
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=autoencoder.requires_grad_(False).eval(),
        # Before the UNet, because a run's random weights depend on the order.
        text_encoder=build_text_encoder(config, tokenizer),
        tokenizer=tokenizer,
        unet=build_unet(config, channels, config.edit_size // grid),
        scheduler=build_sampler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    initialise(pipeline.unet)
    if config.start is not None:
        start_editor(pipeline, config.start)
    return EditorParts(pipeline, new_defaults(config), tokenizer_folder)


def new_defaults(config: TrainConfig) -> ModelDefaults:
    """Return a new editor's defaults: its settings, its edits and the steps of each."""
    edits = tuple(
        KnownEdit(
            name=edit.name,
            instruction=known_instruction(edit.name),
            steps=config.num_inference_steps if edit.deterministic else config.open_inference_steps,
            phrases=training_templates(edit.name),
            colourless=edit.name in COLOURLESS,
        )
        for edit in EDITS
    )
    return ModelDefaults(
        size=config.edit_size,
        guidance_scale=config.guidance_scale,
        image_guidance_scale=config.image_guidance_scale,
        num_inference_steps=config.num_inference_steps,
        scheduler=None,
        instructions=tuple(edit.instruction for edit in edits),
        words=frozenset(words_of(all_phrases())),
        edits=edits,
    )


def load_editor(config: TrainConfig) -> EditorParts:
    """Load the editor `config.model`, to train its whole UNet or a LoRA.

    Raises:
        ModelError: there is no such model, or it is not of the InstructPix2Pix type.
        SettingsError: the recipe's sizes are not on the model's grid.
    """
    assert config.model is not None
    pipeline, defaults = load_pipeline(
        config.model, device="cpu", dtype=torch.float32, safety_checker=None
    )
    grid = pipeline.vae_scale_factor
    for height, width in (*config.sizes, config.validation_size):
        if height % grid or width % grid:
            raise SettingsError(
                f"size {height}x{width} does not fit model {config.model}: sides must be multiples "
                f"of {grid}"
            )
    for part in (pipeline.vae, pipeline.text_encoder, pipeline.unet):
        part.requires_grad_(False)
    if config.lora_rank:
        _add_lora(pipeline.unet, config.lora_rank)
    else:
        pipeline.unet.requires_grad_(True)
    # diffusers uses gradient checkpointing only in training mode.
    pipeline.unet.train()
    # Copied, not saved: transformers 4 cannot load what transformers 5 saves.
    return EditorParts(pipeline, defaults, Path(pipeline.tokenizer.name_or_path))


def _add_lora(unet: torch.nn.Module, rank: int) -> None:
    """Add a LoRA to the UNet's attention; only its weights require gradients.

    Raises:
        SettingsError: the package peft is missing.
    """
    require_package("peft", "lora_rank", "train")
    from peft import LoraConfig

    unet.add_adapter(  # type: ignore[operator]
        LoraConfig(
            r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=LORA_LAYERS
        )
    )


def _load_autoencoder(config: TrainConfig) -> PatchAutoencoder:
    """Load the trained autoencoder of a new editor."""
    assert config.autoencoder is not None
    if not (config.autoencoder / "config.json").is_file():
        raise ModelError(
            f"{config.autoencoder}: no autoencoder in this folder; train one with "
            "`fairy train mini-autoencoder` and give its folder"
        )
    autoencoder: PatchAutoencoder = PatchAutoencoder.from_pretrained(
        str(config.autoencoder), use_safetensors=True
    )
    return autoencoder
