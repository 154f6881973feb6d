"""fairy/anchors/attention_hooks.py: everything is seen, nothing is changed, no hook stays."""

from __future__ import annotations

import pytest
import torch

from fairy.anchors.attention import self_attention_layers
from fairy.anchors.attention_hooks import Attended, observed
from fairy.anchors.backends import choose_backend
from fairy.editors.ip2p.pipeline import FairyPipeline
from tests.tiny import make_frames, make_tiny_pipeline

STEPS = 2
SETTINGS = {"num_inference_steps": STEPS, "num_anchors": 2, "generator": 0, "output_type": "pt"}


@pytest.fixture(scope="module")
def pipe() -> FairyPipeline:
    return FairyPipeline.from_pipe(make_tiny_pipeline())


@pytest.fixture(scope="module")
def seen(pipe) -> list[Attended]:
    """Return what an edit of 5 frames, 2 of them anchors, in batches of 4, shows."""
    shown: list[Attended] = []
    inner = choose_backend("sdpa", torch.device("cpu"))
    with observed(pipe.unet, inner, lambda one: shown.append(one) or one) as backend:
        pipe(make_frames(5), "snow", backend=backend, frame_batch_size=4, **SETTINGS)
    return shown


def test_every_layer_is_seen_in_every_step_of_every_batch(pipe, seen):
    layers = set(self_attention_layers(pipe.unet))
    batches = 2
    assert len(seen) == batches * STEPS * len(layers)
    for step in range(STEPS):
        assert {a.layer for a in seen if a.step == step} == layers


def test_steps_follow_each_other(pipe, seen):
    layers = len(self_attention_layers(pipe.unet))
    first_batch = [a.step for a in seen[: STEPS * layers]]
    assert first_batch == [0] * layers + [1] * layers


def test_anchors_keys_of_all_guidance_branches_are_shown(seen):
    first, second = seen[:2]
    # Before the first text, `text` and `image` are one
    assert first.anchors.k.shape[:2] == (2, 2 * first.q.shape[1])
    assert second.anchors.k.shape[:2] == (3, 2 * second.q.shape[1])
    assert all(a.q.shape == a.own.k.shape for a in seen)


def test_what_is_watched_does_not_change(pipe):
    inner = choose_backend("sdpa", torch.device("cpu"))
    with observed(pipe.unet, inner, lambda attended: attended) as backend:
        watched = pipe(make_frames(4), "snow", backend=backend, **SETTINGS).frames
    alone = pipe(make_frames(4), "snow", backend="sdpa", **SETTINGS).frames
    assert torch.allclose(watched, alone, atol=1e-5)


def test_no_hook_stays_behind(pipe):
    inner = choose_backend("sdpa", torch.device("cpu"))
    with pytest.raises(KeyError), observed(pipe.unet, inner, lambda attended: attended):
        raise KeyError
    assert not any(module._forward_pre_hooks for module in pipe.unet.modules())
