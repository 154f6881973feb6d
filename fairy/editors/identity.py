"""Which model runs, as a hash that is cheap enough to take at every start.

Tests: tests/editors/ip2p/test_identity.py, tests/editors/stock/test_editor.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from fairy.editors.base import EditorIdentity
from fairy.models.defaults import ModelDefaults

# diffusers keeps here, in no fixed order, what a configuration left out
_UNORDERED = ("_use_default_values",)
# Of each weight; enough to tell any two trained models apart
_NUM_VALUES = 16


def identity_of(
    parts: Iterable[nn.Module], scheduler: Any, defaults: ModelDefaults, *, where: Any
) -> EditorIdentity:
    """Return the identity of a loaded model.

    Args:
        parts: its models.
        scheduler: whose settings count too.
        defaults: likewise.
        where: the model whose device and precision stand for all.
    """
    digest = hashlib.sha256(_scheduling(scheduler, defaults).encode())
    for part in parts:
        for key, weight in part.state_dict().items():
            # Packages keep more than tensors here, such as the state of a quantisation
            if not isinstance(weight, torch.Tensor):
                continue
            digest.update(f"{key} {tuple(weight.shape)}".encode())
            # Offloaded weights have no values while they are not in use; float8 ones are no plain
            # tensors, and the settings record that they are float8
            if not weight.is_meta and type(weight) is torch.Tensor:
                digest.update(weight.flatten()[:_NUM_VALUES].cpu().double().numpy().tobytes())
    return EditorIdentity(
        weights=digest.hexdigest(),
        device=where.device.type,
        dtype=str(where.dtype).removeprefix("torch."),
    )


def _scheduling(scheduler: Any, defaults: ModelDefaults) -> str:
    """Return the defaults and the scheduler's settings as JSON, the same in every process."""
    config = {key: value for key, value in scheduler.config.items() if key not in _UNORDERED}
    # `words` is a set, which has no order
    return json.dumps([asdict(defaults), config], default=sorted, sort_keys=True)
