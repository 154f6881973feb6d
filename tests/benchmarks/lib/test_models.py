"""benchmarks/lib/models.py: architectures with random weights are what they say they are."""

from __future__ import annotations

import torch

from benchmarks.lib.models import load_model
from tests.tiny import make_frames


def test_random_model_edits_in_the_dtype_asked_for():
    pipe = load_model("sd15-tiny", "cpu", "bfloat16")
    assert pipe.unet.dtype == pipe.vae.dtype == pipe.text_encoder.dtype == torch.bfloat16
    frames = pipe(make_frames(2, 32, 32), "make it snow", num_inference_steps=1, num_anchors=1)
    assert frames.frames.shape == (2, 32, 32, 3)


def test_random_weights_are_the_same_each_time_and_leave_the_seed_alone():
    before = torch.random.get_rng_state()
    first, second = (load_model("sd15-tiny", "cpu").unet.conv_in.weight for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
