"""benchmarks/lib/bound.py: FLOPs agree with what the shapes say."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from benchmarks.lib.bound import edit_flops, matmul_flops_per_s, unet_flops
from fairy.models.blueprint import SD15

NUM_LAYERS_LEVELS = ((5, 3072, 320), (5, 768, 640), (5, 192, 1280), (1, 48, 1280))


@pytest.fixture(scope="module")
def sd15() -> SimpleNamespace:
    """SD 1.5's shapes, without numbers."""
    models = {name: SD15[name].build() for name in ("unet", "vae")}
    tokenizer = SimpleNamespace(model_max_length=77)
    return SimpleNamespace(**models, tokenizer=tokenizer, vae_scale_factor=8)


def used(num_anchors: int = 3, num_groups: int = 3) -> SimpleNamespace:
    return SimpleNamespace(
        anchor_indices=tuple(range(num_anchors)),
        num_groups=num_groups,
        num_inference_steps=10,
        height=384,
        width=512,
    )


def test_self_attention_is_two_products_of_tokens_by_tokens(sd15):
    # q k^T and its product with v: 2 FLOP for each of N * N * C, twice
    expected = sum(layers * 4 * n * n * width for layers, n, width in NUM_LAYERS_LEVELS)
    assert unet_flops(sd15, (384, 512))[1] == expected


def test_frame_attends_to_itself_and_to_every_anchor(sd15):
    row, self_part = unet_flops(sd15, (384, 512))
    rows = 3 * 10 * 117
    assert edit_flops(sd15, used(3), 120)["frames"] == rows * (row + 3 * self_part)
    more = edit_flops(sd15, used(4), 121)["frames"] - edit_flops(sd15, used(3), 120)["frames"]
    assert more == rows * self_part


def test_clip_of_anchors_alone_has_no_other_frames(sd15):
    flops = edit_flops(sd15, used(3), 3)
    assert flops["frames"] == 0 and flops["anchors"] > 0


def test_branches_that_are_not_computed_do_not_count(sd15):
    three, two = (edit_flops(sd15, used(num_groups=n), 120) for n in (3, 2))
    assert two["frames"] / three["frames"] == pytest.approx(2 / 3)
    assert two["vae_decode"] == three["vae_decode"]


def test_rate_of_products_is_this_machine_s():
    rate = matmul_flops_per_s(torch.device("cpu"), torch.float32)
    assert 1e8 < rate < 1e14
