"""Models without weights, to compute sizes and memory; built quickly on torch's meta device.

A blueprint is a model's class and configuration. `blueprints` reads them for each part of a model.
It takes the registry's names, and "sd15": InstructPix2Pix on Stable Diffusion 1.5.
Tests: tests/models/test_blueprint.py.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.pipelines.stable_diffusion import safety_checker
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from fairy.errors import ModelError
from fairy.models import patch_autoencoder
from fairy.models.defaults import ModelDefaults, model_defaults
from fairy.models.quiet import without_expected_messages
from fairy.models.sources import find_model
from fairy.system import parse_json

META = torch.device("meta")
# Names in model_index.json
LIBRARIES = {
    "diffusers": diffusers,
    "transformers": transformers,
    "stable_diffusion": safety_checker,
    patch_autoencoder.__name__: patch_autoencoder,
}


@dataclass(frozen=True)
class Blueprint:
    """A model's class and its configuration as JSON; equal blueprints have equal shapes."""

    kind: type[Any]
    config: str

    @classmethod
    def of(cls, model: Any) -> Blueprint:
        """Return the blueprint of a diffusers model, compiled or not."""
        model = getattr(model, "_orig_mod", model)
        return cls(type(model), json.dumps(dict(model.config), sort_keys=True, default=str))

    def changed(self, **entries: Any) -> Blueprint:
        """Return a copy with these entries of the configuration replaced."""
        return replace(self, config=json.dumps({**json.loads(self.config), **entries}))

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration of a diffusers model, with the class's defaults for what is missing."""
        parameters = inspect.signature(self.kind.__init__).parameters.values()
        empty = inspect.Parameter.empty
        defaults = {one.name: one.default for one in parameters if one.default is not empty}
        config: dict[str, Any] = json.loads(self.config)
        return defaults | config

    def build(self, dtype: torch.dtype = torch.float32, device: torch.device = META) -> Any:
        """Return the model with random weights (without values on the meta device)."""
        config = json.loads(self.config)
        with device, without_expected_messages():
            if issubclass(self.kind, transformers.PreTrainedModel):
                model = self.kind(self.kind.config_class.from_dict(config))
            else:
                model = self.kind.from_config(config)
        # diffusers' own `to` warns about modules that must stay float32, but there are none
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
        return model.eval()

    @property
    def num_parameters(self) -> int:
        """Total number of weights."""
        return sum(parameter.numel() for parameter in self.build().parameters())


# Where the configurations of timbrooks/instruct-pix2pix differ from the defaults of diffusers and
# transformers; without its safety checker
SD15 = {
    "unet": Blueprint(
        diffusers.UNet2DConditionModel,
        json.dumps({"sample_size": 64, "in_channels": 8, "cross_attention_dim": 768}),
    ),
    "vae": Blueprint(
        diffusers.AutoencoderKL,
        json.dumps(
            {
                "block_out_channels": (128, 256, 512, 512),
                "down_block_types": ("DownEncoderBlock2D",) * 4,
                "up_block_types": ("UpDecoderBlock2D",) * 4,
                "layers_per_block": 2,
                "sample_size": 512,
            }
        ),
    ),
    "text_encoder": Blueprint(
        transformers.CLIPTextModel,
        json.dumps(
            {
                "hidden_size": 768,
                "intermediate_size": 3072,
                "num_hidden_layers": 12,
                "num_attention_heads": 12,
                "projection_dim": 768,
            }
        ),
    ),
}


def blueprints(name: str | Path) -> tuple[dict[str, Blueprint], ModelDefaults]:
    """Return the model's parts with weights, by their names in diffusers, and its defaults.

    Args:
        name: "sd15", "mini", a folder in diffusers format or a hub id, of which only the
            configurations are downloaded.

    Raises:
        ModelError: there is no such model, or it is a single file.
    """
    if str(name) == "sd15":
        return SD15, ModelDefaults()
    folder = _folder(name)
    try:
        index = parse_json((folder / "model_index.json").read_text(encoding="utf-8"))
        parts = {part: _read(folder / part, entry) for part, entry in index.items()}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"model {name}: its configuration cannot be read ({error})") from error
    return {part: found for part, found in parts.items() if found}, model_defaults(folder)


def _folder(name: str | Path) -> Path:
    source = find_model(name)
    if isinstance(source, str):
        try:
            patterns = ["model_index.json", "*/config.json"]
            return Path(snapshot_download(source, allow_patterns=patterns))
        except (LocalEntryNotFoundError, HfHubHTTPError) as error:
            raise ModelError(
                f"model {name}: its configuration is not in the cache, and the hub cannot be "
                "reached; use sd15 for any model of Stable Diffusion 1.5's shape"
            ) from error
    if source.is_file():
        raise ModelError(
            f"model {name}: a single file has weights but no configuration; use a folder, a "
            "hub id, or sd15 for a model of Stable Diffusion 1.5's shape"
        )
    return source


def _read(folder: Path, entry: Any) -> Blueprint | None:
    """Return the blueprint in `folder`; None for parts without weights, such as tokenizers."""
    if not isinstance(entry, list) or None in entry or not (folder / "config.json").is_file():
        return None
    library, kind = entry
    return Blueprint(
        getattr(LIBRARIES[library], kind), (folder / "config.json").read_text(encoding="utf-8")
    )
