"""The compiled UNet: one graph for all steps and batches, the same result, what it needs."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from fairy.editors import compute
from fairy.editors.compute import (
    check_compile,
    check_fp8,
    compile_unet,
    filled_up,
    is_compiled,
    to_fp8,
)
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import SettingsError
from tests.tiny import make_frames, make_tiny_pipeline

SETTINGS = {"num_inference_steps": 3, "generator": 3, "output_type": "pt"}
FRAMES = make_frames(6, height=12, width=16)


@pytest.fixture
def pipe():
    torch.compiler.reset()
    yield FairyPipeline.from_pipe(make_tiny_pipeline())
    torch.compiler.reset()


@pytest.mark.slow
@pytest.mark.parametrize("image_guidance_scale", [1.0, 1.5])
def test_compiled_once_for_all_steps_batches_and_edits_with_the_same_result(
    pipe, image_guidance_scale
):
    settings = SETTINGS | {"frame_batch_size": 2, "image_guidance_scale": image_guidance_scale}
    expected = [pipe(FRAMES, prompt, **settings).frames for prompt in ("red", "blue")]
    counter = CompileCounterWithBackend("aot_eager")
    compile_unet(pipe.unet, backend=counter, fullgraph=True)
    # The last batch holds one frame that is no anchor
    got = [pipe(FRAMES, prompt, **settings).frames for prompt in ("red", "blue")]
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert counter.frame_count == 1


def test_is_compiled_only_when_asked(pipe):
    assert not is_compiled(pipe.unet)
    compile_unet(pipe.unet, backend="eager")
    assert is_compiled(pipe.unet)


def test_without_a_compiler_one_line_says_so(pipe, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SettingsError, match=r"needs a C\+\+ compiler .*; leave --compile out"):
        compile_unet(pipe.unet)
    assert not is_compiled(pipe.unet)


def test_the_compiler_named_in_the_environment_is_looked_for(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(SettingsError, match=r"\(no-such-compiler\)"):
        check_compile(torch.device("cpu"))


def test_cuda_needs_triton(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="needs Triton"):
        check_compile(torch.device("cuda"))


def test_other_devices_are_refused():
    with pytest.raises(SettingsError, match="the device is mps"):
        check_compile(torch.device("mps"))


@pytest.mark.parametrize(("num_rows", "expected"), [(2, [0, 1, 2]), (5, [0, 1, 2, 2, 2])])
def test_filled_up_with_the_last(num_rows, expected):
    assert filled_up(torch.arange(3), num_rows).tolist() == expected


@pytest.fixture
def quantised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the layers that torchao would quantise, on a supported card."""
    names: list[str] = []

    def quantize_(model, config, filter_fn):
        names.extend(name for name, module in model.named_modules() if filter_fn(module, name))

    library, part = ModuleType("torchao"), ModuleType("torchao.quantization")
    part.quantize_, part.Float8DynamicActivationFloat8WeightConfig = quantize_, object
    monkeypatch.setitem(sys.modules, "torchao", library)
    monkeypatch.setitem(sys.modules, "torchao.quantization", part)
    monkeypatch.setattr(compute, "check_fp8", lambda device: None)
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
    with pytest.raises(
        SettingsError, match=r"capability 8\.9 or higher, but the device is cpu; leave --fp8"
    ):
        check_fp8(torch.device("cpu"))


@pytest.mark.parametrize(("capability", "taken"), [((8, 6), False), ((8, 9), True), ((9, 0), True)])
def test_cards_are_distinguished_by_their_capability(monkeypatch, capability, taken):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Card")
    if taken:
        check_fp8(torch.device("cuda"))
        return
    with pytest.raises(SettingsError, match=r"Card has 8\.6"):
        check_fp8(torch.device("cuda"))


def test_a_missing_torchao_is_named(tiny_pipeline, monkeypatch):
    monkeypatch.setattr(compute, "check_fp8", lambda device: None)
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(SettingsError, match=r"needs the package torchao: pip install .*\[fp8\]"):
        to_fp8(tiny_pipeline.unet)
