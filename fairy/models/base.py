"""diffusers' InstructPix2Pix pipeline with safe loading, and saving that diffusers can load.

Tests: tests/models/test_base.py.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import Tensor

from fairy.errors import ModelError
from fairy.models.defaults import ModelDefaults, save_defaults
from fairy.models.quiet import without_expected_messages

# transformers prints messages when diffusers imports it
with without_expected_messages():
    from diffusers import DiffusionPipeline, StableDiffusionInstructPix2PixPipeline
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import retrieve_timesteps

__all__ = [
    "DiffusionPipeline",
    "SafePipeline",
    "StableDiffusionInstructPix2PixPipeline",
    "retrieve_timesteps",
]


class SafePipeline(StableDiffusionInstructPix2PixPipeline):  # type: ignore[misc]
    """Loads LoRAs only from safetensors, and saves models that diffusers can load.

    Attributes:
        defaults: the model's values for settings that an edit leaves out.
    """

    defaults: ModelDefaults = ModelDefaults()

    def load_lora_weights(
        self,
        pretrained_model_name_or_path_or_dict: str | Path | dict[str, Tensor],
        adapter_name: str | None = None,
        *,
        weight_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Load a LoRA as diffusers does, from a dict, a hub id, a folder or a safetensors file.

        Raises:
            ModelError: the file is not a safetensors file.
        """
        source = pretrained_model_name_or_path_or_dict
        if not isinstance(source, dict):
            for name in (weight_name, source if Path(source).is_file() else None):
                if name is not None and Path(name).suffix != ".safetensors":
                    raise ModelError(f"LoRA {name}: only .safetensors files are loaded")
            kwargs |= {"weight_name": weight_name, "use_safetensors": True}
        super().load_lora_weights(source, adapter_name, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Save as diffusers' own pipeline, with the defaults in fairy.json beside it.

        Args:
            save_directory: the folder.
            **kwargs: as in diffusers.
        """
        checked = self.config.requires_safety_checker
        plain = StableDiffusionInstructPix2PixPipeline(
            **self.components, requires_safety_checker=checked
        )
        plain.save_pretrained(save_directory, **kwargs)
        if self.defaults != ModelDefaults():
            save_defaults(self.defaults, save_directory)
