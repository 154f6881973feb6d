"""LoRA of stock pipelines: names, factors, and weights that change the result."""

from __future__ import annotations

import doctest

import pytest
import torch

from examples.tiny_editor import make_tiny_editor
from fairy.errors import ModelError
from fairy.models import stock
from fairy.models.stock import QUANTIZED, _quantization, load_loras, split_scale


def test_examples():
    assert doctest.testmod(stock).failed == 0


def save_lora(pipe, folder, name: str) -> str:
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    layer = "transformer_blocks.0.attn.to_v"
    pipe.transformer.add_adapter(LoraConfig(r=2, target_modules=[layer], init_lora_weights=False))
    state = get_peft_model_state_dict(pipe.transformer)
    type(pipe).save_lora_weights(folder, transformer_lora_layers=state, weight_name=name)
    return str(folder / name)


def weights_of(pipe) -> torch.Tensor:
    layer = pipe.transformer.transformer_blocks[0].attn.to_v
    return layer(torch.ones(1, layer.in_features))


def test_a_lora_is_loaded_with_its_factor_and_its_steps(tmp_path):
    path = save_lora(make_tiny_editor("klein"), tmp_path, "turbo-8steps.safetensors")
    plain, full, half = (make_tiny_editor("klein") for _ in range(3))
    assert load_loras(full, [path]) == 8
    load_loras(half, [f"{path}:0.5"])
    change = weights_of(full) - weights_of(plain)
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(weights_of(half) - weights_of(plain), change / 2)


def test_two_loras_add_up(tmp_path):
    path = save_lora(make_tiny_editor("klein"), tmp_path, "style.safetensors")
    plain, once, twice = (make_tiny_editor("klein") for _ in range(3))
    assert load_loras(once, [path]) is None
    load_loras(twice, [f"{path}:0.25", f"{path}:0.75"])
    torch.testing.assert_close(weights_of(twice), weights_of(once))
    assert not torch.allclose(weights_of(plain), weights_of(once))


def test_pickles_are_refused(tmp_path):
    path = tmp_path / "lora.bin"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"only \.safetensors"):
        load_loras(make_tiny_editor("klein"), [str(path)])


def test_a_colon_that_is_no_factor_belongs_to_the_name():
    assert split_scale("C:/style.safetensors") == ("C:/style.safetensors", 1.0)


@pytest.mark.parametrize("precision", sorted(QUANTIZED))
def test_quantisation_is_diffusers_own_and_spares_the_autoencoder(precision, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    made = []
    monkeypatch.setattr(
        stock.diffusers, "PipelineQuantizationConfig", lambda **given: made.append(given)
    )
    _quantization(precision, "transformer", torch.bfloat16)
    assert made[0]["quant_backend"] == QUANTIZED[precision][0]
    assert "vae" not in made[0]["components_to_quantize"]
