"""A hash of the loaded model, cheap enough to compute at every start.

Tests: tests/editors/ip2p/test_identity.py.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch

from fairy.editors.base import EditorIdentity

if TYPE_CHECKING:
    from fairy.editors.ip2p.pipeline import FairyPipeline

# diffusers lists here, in no fixed order, the entries that a configuration left out
_UNORDERED = ("_use_default_values",)
# Of each weight; enough to tell any two trained models apart
_NUM_VALUES = 16


def identity_of(pipe: FairyPipeline) -> EditorIdentity:
    """Return the identity of a loaded model."""
    digest = hashlib.sha256(_scheduling(pipe).encode())
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        for key, weight in part.state_dict().items():
            digest.update(f"{key} {tuple(weight.shape)}".encode())
            # Offloaded weights have no values while they are not in use. Float8 weights are not
            # plain tensors; the settings record that they are float8
            if not weight.is_meta and type(weight) is torch.Tensor:
                digest.update(weight.flatten()[:_NUM_VALUES].cpu().double().numpy().tobytes())
    return EditorIdentity(
        weights=digest.hexdigest(),
        device=pipe.device.type,
        dtype=str(pipe.unet.dtype).removeprefix("torch."),
    )


def _scheduling(pipe: FairyPipeline) -> str:
    """Return the defaults and the scheduler's settings as JSON, the same in every process."""
    config = {key: value for key, value in pipe.scheduler.config.items() if key not in _UNORDERED}
    # `words` is a set, which has no order
    return json.dumps([asdict(pipe.defaults), config], default=sorted, sort_keys=True)
