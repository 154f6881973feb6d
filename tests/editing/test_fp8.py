"""Float8: where it is refused, and which layers are chosen. No card has run it."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch

from fairy.editing import fp8
from fairy.editing.fp8 import check_fp8, to_fp8
from fairy.errors import SettingsError


@pytest.fixture
def quantised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the layers that torchao is told to quantise, on a card that it takes."""
    names: list[str] = []

    def quantize_(model, config, filter_fn):
        names.extend(name for name, module in model.named_modules() if filter_fn(module, name))

    library, part = ModuleType("torchao"), ModuleType("torchao.quantization")
    part.quantize_, part.Float8DynamicActivationFloat8WeightConfig = quantize_, object
    monkeypatch.setitem(sys.modules, "torchao", library)
    monkeypatch.setitem(sys.modules, "torchao.quantization", part)
    monkeypatch.setattr(fp8, "check_fp8", lambda device: None)
    return names


def test_linear_layers_of_transformer_blocks_are_chosen(tiny_pipeline, quantised):
    to_fp8(tiny_pipeline.unet)
    block = "mid_block.attentions.0.transformer_blocks.0"
    assert {f"{block}.attn1.to_q", f"{block}.attn2.to_out.0", f"{block}.ff.net.2"} <= set(quantised)
    linear = [n for n, m in tiny_pipeline.unet.named_modules() if isinstance(m, torch.nn.Linear)]
    left_out = {name for name in linear if name not in quantised}
    assert left_out == {name for name in linear if "time_emb" in name}


def test_layers_of_sizes_that_float8_lacks_are_left(tiny_pipeline, quantised):
    feed_forward = tiny_pipeline.unet.mid_block.attentions[0].transformer_blocks[0].ff
    feed_forward.net[2] = torch.nn.Linear(128, 24)
    to_fp8(tiny_pipeline.unet)
    assert "mid_block.attentions.0.transformer_blocks.0.ff.net.2" not in quantised


def test_the_processor_is_refused():
    with pytest.raises(SettingsError, match=r"capability 8\.9 or more: this is cpu; leave --fp8"):
        check_fp8(torch.device("cpu"))


@pytest.mark.parametrize(("capability", "taken"), [((8, 6), False), ((8, 9), True), ((9, 0), True)])
def test_cards_are_told_apart_by_their_capability(monkeypatch, capability, taken):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Card")
    if taken:
        check_fp8(torch.device("cuda"))
        return
    with pytest.raises(SettingsError, match=r"Card has 8\.6"):
        check_fp8(torch.device("cuda"))


def test_a_missing_torchao_is_named(tiny_pipeline, monkeypatch):
    monkeypatch.setattr(fp8, "check_fp8", lambda device: None)
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(SettingsError, match=r"needs the package torchao: pip install .*\[fp8\]"):
        to_fp8(tiny_pipeline.unet)
