"""Settings of a run: what cannot be is refused, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairy.errors import SettingsError
from fairy.training.config import TrainConfig

FINETUNE = {"stage": "finetune", "model": "mini"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stage": "finetune"}, "give --from MODEL"),
        ({"stage": "autoencoder", "data": "pairs"}, "data is for the finetune stage"),
        ({"stage": "autoencoder", "lora_rank": 4}, "lora_rank is for the finetune stage"),
        ({**FINETUNE, "lora_rank": -1}, "use 0 for none"),
        ({**FINETUNE, "clip_frames": 5}, "draws_per_pair 1 times clip_frames 5 must divide"),
        ({**FINETUNE, "clip_frames": 4, "clip_anchors": 5}, "clip_anchors is 5: use 1 to"),
        ({**FINETUNE, "affine_scale": (1.1, 0.9)}, "two numbers above 0, the smaller first"),
        ({**FINETUNE, "affine_shear_deg": -5.0}, "affine_shear_deg is -5.0"),
        ({**FINETUNE, "scope_weights": (1.0, -1.0, 1.0)}, "scope_weights must not be negative"),
        ({**FINETUNE, "resize_scale": 0.9}, "resize_scale is 0.9"),
        ({**FINETUNE, "max_loss_rise": 1.0}, "max_loss_rise is 1.0"),
        ({**FINETUNE, "num_validation": 0}, "num_validation is 0: it must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TrainConfig(output=Path(), **settings)  # type: ignore[arg-type]
