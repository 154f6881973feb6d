"""Costs from configurations, against counts over the real classes and an independent table.

The table was counted over the same classes by other code, before this was written.
"""

from __future__ import annotations

import json
from functools import cache

import diffusers
import pytest
import torch

from fairy.editors.stock.cost import cache_bytes, call_cost, model_cost
from fairy.editors.stock.families import FAMILIES
from fairy.models.blueprint import Blueprint

BF16 = torch.bfloat16
SIZES = {"small": (384, 512), "large": (1024, 1024)}

# As published: config.json of the transformer or UNet. What is missing is the class's default.
MODELS = {
    # black-forest-labs/FLUX.2-klein-4B
    "klein": (
        diffusers.Flux2Transformer2DModel,
        "Flux2KleinPipeline",
        {
            "in_channels": 128,
            "num_layers": 5,
            "num_single_layers": 20,
            "attention_head_dim": 128,
            "num_attention_heads": 24,
            "joint_attention_dim": 7680,
            "guidance_embeds": False,
        },
    ),
    # black-forest-labs/FLUX.1-Kontext-dev
    "kontext": (diffusers.FluxTransformer2DModel, "FluxKontextPipeline", {"guidance_embeds": True}),
    # Qwen/Qwen-Image-Edit-2509
    "qwen": (diffusers.QwenImageTransformer2DModel, "QwenImageEditPlusPipeline", {}),
    # diffusers/sdxl-instructpix2pix-768
    "sdxl": (
        diffusers.UNet2DConditionModel,
        "StableDiffusionXLInstructPix2PixPipeline",
        {
            "sample_size": 128,
            "in_channels": 8,
            "out_channels": 4,
            "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": (1, 2, 10),
            "attention_head_dim": (5, 10, 20),
            "cross_attention_dim": 2048,
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
    ),
}

# Stock TFLOP, TFLOP with 3 anchors, GiB of the cache of one call
TABLE = {
    ("klein", "small"): (13.9, 14.4, 0.66),
    ("klein", "large"): (76.7, 92.2, 3.52),
    ("kontext", "small"): (29.4, 30.6, 1.50),
    ("kontext", "large"): (166, 201, 8.02),
    ("qwen", "small"): (26.8, 28.1, 1.58),
    ("qwen", "large"): (168, 205, 8.44),
    ("sdxl", "small"): (1.20, 1.28, 0.22),
    ("sdxl", "large"): (6.76, 9.02, 1.17),
}


@cache
def whole_model(name: str) -> torch.nn.Module:
    kind, _, config = MODELS[name]
    return Blueprint(kind, json.dumps(config)).build(BF16)


def cost(name: str, size: str, num_anchors: int):
    kind, family, config = MODELS[name]
    blueprint = Blueprint(kind, json.dumps(config))
    return model_cost(blueprint, FAMILIES[family], SIZES[size], num_anchors=num_anchors, dtype=BF16)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        # A second size of the 70 blocks of SDXL takes long
        pytest.param(*case, marks=[pytest.mark.slow] * (case == ("sdxl", "large")))
        for case in TABLE
    ],
)
def test_costs_are_those_of_the_table(name, size):
    with_anchors = cost(name, size, 3)
    family = MODELS[name][1]
    formula = cache_bytes(
        whole_model(name), FAMILIES[family], SIZES[size], num_anchors=3, num_calls=1, itemsize=2
    )
    stock_tflop, anchors_tflop, gib = TABLE[name, size]
    assert with_anchors.flops / 1e12 == pytest.approx(anchors_tflop, rel=0.03)
    assert with_anchors.cache_bytes / 2**30 == pytest.approx(gib, rel=0.03)
    assert formula == with_anchors.cache_bytes
    if size == "small" and name != "sdxl":
        assert cost(name, size, 0).flops / 1e12 == pytest.approx(stock_tflop, rel=0.03)


def test_the_depth_s_formula_is_the_count_over_the_whole_model():
    kind, family, config = MODELS["klein"]
    whole = call_cost(whole_model("klein"), FAMILIES[family], (64, 64), num_anchors=3, dtype=BF16)
    blueprint = Blueprint(kind, json.dumps(config))
    by_depth = model_cost(blueprint, FAMILIES[family], (64, 64), num_anchors=3, dtype=BF16)
    assert (by_depth.flops, by_depth.cache_bytes) == (whole.flops, whole.cache_bytes)
    assert by_depth.peak_bytes == pytest.approx(whole.peak_bytes, rel=0.03)


def test_omnigen_is_planned_from_its_configuration():
    # Shitao/OmniGen-v1: 32 layers of 3,072, patches of 16 pixels
    factors = {name: [1.0] * 48 for name in ("short_factor", "long_factor")}
    config = {"num_layers": 32, "hidden_size": 3072, "rope_scaling": factors}
    blueprint = Blueprint(diffusers.OmniGenTransformer2DModel, json.dumps(config))
    family, (height, width) = FAMILIES["OmniGenPipeline"], SIZES["small"]
    found = model_cost(blueprint, family, (height, width), num_anchors=3, dtype=BF16, rows=3)
    num_tokens = height // 16 * (width // 16)
    assert found.cache_bytes == 3 * 3 * 32 * num_tokens * 2 * 3072 * 2
    # At least two operations a weight and token, of source and frame
    assert found.flops > 3 * 2 * 3.6e9 * 2 * num_tokens
    assert found.peak_bytes > 0
