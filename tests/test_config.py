"""Settings are checked once, when they are made, and say what is allowed."""

from __future__ import annotations

import dataclasses

import pytest

from fairy.config import EditConfig
from fairy.errors import FairyError, SettingsError


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0: it must be at least 1"),
        ({"num_anchors": 0}, "num_anchors is 0: it must be at least 1"),
        ({"frame_batch_size": -1}, "frame_batch_size is -1: it must be at least 1"),
        ({"guidance_scale": -1.0}, "guidance_scale is -1.0: use 0 or more"),
        ({"image_guidance_scale": -0.5}, "image_guidance_scale is -0.5: use 0 or more"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan: use 0 or more"),
        ({"image_guidance_scale": float("inf")}, "image_guidance_scale is inf: use 0 or more"),
        ({"num_inference_steps": 1001}, "num_inference_steps is 1001: it must be at most 1000"),
        ({"seed": 2**64}, "seed is 18446744073709551616: use a number of at most 19 digits"),
        ({"anchor_strength": -1.0}, "anchor_strength is -1.0: use 0 or more"),
        ({"anchor_strength": float("nan")}, "anchor_strength is nan"),
        ({"size": 8}, "size is 8: the longer side must be at least 16 pixels"),
        ({"backend": "cuda"}, "backend 'cuda' is unknown: use auto, triton, sdpa, reference"),
        ({"dtype": "fp8"}, "dtype 'fp8' is unknown: use auto, float32, float16, bfloat16"),
        ({"anchor_indices": ()}, "anchor_indices is empty: name at least one frame"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], words: str):
    with pytest.raises(SettingsError, match=words):
        EditConfig(**settings)


def test_defaults_leave_the_model_its_own():
    config = EditConfig()
    assert config.model == "mini"
    assert config.num_inference_steps is None
    assert config.guidance_scale is None
    assert config.num_anchors == 3


def test_settings_do_not_change_once_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EditConfig().seed = 1


def test_settings_errors_are_the_users():
    assert issubclass(SettingsError, FairyError)
