"""Settings are checked once, when they are made, and say what is allowed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fairy.errors import FairyError, SettingsError
from fairy.options import options_of
from fairy.settings import (
    EXACT,
    GROUPS,
    QUALITIES,
    Compute,
    Control,
    EditConfig,
    MediaConfig,
    Sampling,
    Shortcuts,
)


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
        ({"size": 51200}, "size is 51200: .*, and at most 8192"),
        ({"backend": "cuda"}, "backend 'cuda' is unknown: use auto, triton, sdpa, reference"),
        ({"dtype": "fp8"}, "dtype 'fp8' is unknown: use auto, float32, float16, bfloat16"),
        ({"anchor_cache_device": "host"}, "anchor_cache_device 'host' is unknown: use cpu"),
        ({"anchor_indices": ()}, "anchor_indices is empty: name at least one frame"),
        ({"anchor_indices": "0;4"}, "anchor_indices is '0;4': give frame numbers, as in 0,40,80"),
        ({"seed": 7.5}, "seed is 7.5: give a whole number"),
        ({"seed": "seven"}, "seed is 'seven': give a whole number"),
        ({"crf": 99}, "crf is 99: it must be between 0 and 63"),
        ({"video_stream": -1}, "video_stream is -1: streams count from 0"),
        ({"codec": "h265"}, "codec 'h265' is unknown: use h264, hevc, vp9, av1, prores, ffv1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], words: str):
    with pytest.raises(SettingsError, match=words):
        EditConfig(**settings)


@pytest.mark.parametrize(
    ("shortcuts", "words"),
    [
        ({"guidance_interval": (0.6, 0.2)}, "guidance_interval is 0.6 0.2: give two fractions"),
        ({"guidance_interval": (0.0, 1.5)}, "as in 0 0.6"),
        ({"reuse": 0}, "reuse is 0: 1 is off, 2 or more is on"),
    ],
)
@pytest.mark.parametrize("settings", [Shortcuts, Sampling, EditConfig])
def test_impossible_shortcuts_are_refused(settings, shortcuts: dict[str, object], words: str):
    with pytest.raises(SettingsError, match=words):
        settings(**shortcuts)


@pytest.mark.parametrize("seed", [np.int64(7), np.float32(7), 7.0, "7", " 7 ", np.array(7)])
def test_any_form_of_a_whole_number_is_a_seed(seed: object):
    chosen = EditConfig(seed=seed).seed
    assert (chosen, type(chosen)) == (7, int)


@pytest.mark.parametrize("seed", [7.5, "seven", True, [7], float("nan"), 10**400, range(10**18)])
def test_what_is_no_seed_is_refused_at_once(seed: object):
    with pytest.raises(SettingsError, match="seed is"):
        EditConfig(seed=seed)


def test_a_result_that_is_not_enlarged_has_the_models_size():
    assert not EditConfig(enlarge="none").keep_size
    assert EditConfig().keep_size


def test_a_seed_left_open_is_drawn_once_and_kept():
    drawn = {EditConfig(seed=None).seed for _ in range(3)}
    assert len(drawn) == 3
    assert all(isinstance(seed, int) for seed in drawn)
    config = EditConfig(seed=None)
    assert dataclasses.replace(config, size=64).seed == config.seed


def test_nothing_that_changes_the_picture_is_on_by_default():
    assert EditConfig().shortcuts == Shortcuts.of() == Shortcuts.of("exact") == EXACT
    assert Shortcuts(guidance_interval=(0.0, 1.0), reuse=1) == EXACT
    assert (EditConfig().fp8, EditConfig().decoder) == (False, None)


def test_a_single_shortcut_replaces_that_of_the_bundle():
    fast = QUALITIES["fast"]
    assert Shortcuts.of("fast") == EditConfig(quality="fast").shortcuts == fast
    assert Shortcuts.of("fast", guidance_interval=(0.0, 1.0), reuse=1) == EXACT
    assert EditConfig(quality="fast", reuse=7).shortcuts == dataclasses.replace(fast, reuse=7)


def test_bundles_are_known_by_their_values():
    assert [Shortcuts.of(name).quality for name in QUALITIES] == list(QUALITIES)
    assert Shortcuts(reuse=9).quality == "custom"


def test_an_unknown_quality_is_refused():
    with pytest.raises(SettingsError, match="quality 'best' is unknown: use exact, balanced, fast"):
        Shortcuts.of("best")


def test_defaults_leave_the_model_its_own():
    config = EditConfig()
    assert config.model == "mini"
    assert config.num_inference_steps is None
    assert config.guidance_scale is None
    assert config.num_anchors == 3


def test_an_edits_settings_are_flat_and_consist_of_four_parts():
    config = EditConfig(seed=7, device="cpu", codec="hevc")
    assert Sampling.part_of(config) == Sampling(seed=7)
    assert Compute.part_of(config) == Compute(device="cpu")
    assert MediaConfig.part_of(config) == MediaConfig(codec="hevc")
    assert Control.part_of(EditConfig(mask="m.png")) == Control(mask="m.png")
    parts = (Sampling, Compute, MediaConfig, Control)
    names = [field.name for part in parts for field in options_of(part)]
    assert sorted(names) == sorted(field.name for field in options_of(EditConfig))


def test_every_option_has_a_help_and_a_known_group():
    for field in options_of(EditConfig):
        assert field.option.help.endswith("."), field.name
        assert field.option.group in GROUPS, field.name


def test_settings_do_not_change_once_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EditConfig().seed = 1


def test_settings_errors_are_the_users():
    assert issubclass(SettingsError, FairyError)
