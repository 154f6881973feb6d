"""The compiled UNet: one graph for all steps and batches, the same result, what it needs."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from fairy.editing.compiled import check_compile, compile_unet, filled_up, is_compiled
from fairy.editing.pipeline import FairyPipeline
from fairy.errors import SettingsError
from tests.tiny import make_frames, make_tiny_pipeline

SETTINGS = {"num_inference_steps": 3, "generator": 3, "output_type": "pt"}
FRAMES = make_frames(6, height=12, width=16)


@pytest.fixture
def pipe():
    torch.compiler.reset()
    yield FairyPipeline.from_pipe(make_tiny_pipeline())
    torch.compiler.reset()


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
    with pytest.raises(SettingsError, match="this is mps"):
        check_compile(torch.device("mps"))


@pytest.mark.parametrize(("num_rows", "expected"), [(2, [0, 1, 2]), (5, [0, 1, 2, 2, 2])])
def test_filled_up_with_the_last(num_rows, expected):
    assert filled_up(torch.arange(3), num_rows).tolist() == expected
