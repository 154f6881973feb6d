"""The loop: nothing in the UNet waits for the device; shortcuts skip what they should skip."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch.utils._python_dispatch import TorchDispatchMode

from fairy.anchors.cache import AnchorCache
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.settings import EXACT, QUALITIES, Shortcuts
from tests.tiny import make_frames

FRAMES = make_frames(5, height=12, width=16)
GUIDED = {"guidance_scale": 7.5, "image_guidance_scale": 1.5}
UNGUIDED = {"guidance_scale": 1.0, "image_guidance_scale": 1.0}
EACH = [
    Shortcuts(guidance_interval=(0.0, 0.5)),
    Shortcuts(guidance_interval=(0.5, 1.0)),
    Shortcuts(reuse=2),
    Shortcuts(guidance_interval=(0.5, 1.0), reuse=3),
]

# Operators that return values, or a shape that depends on them, to Python: CUDA waits for these
READING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}


class Readings(TorchDispatchMode):
    """Notes the operators that read a tensor's numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.name().split(".")[0] in READING:
            self.seen.append(func.name())
        return func(*args, **(kwargs or {}))


@contextmanager
def within_the_unet(pipe: FairyPipeline, enter, leave):
    """Call `enter` before each run of the UNet and `leave` after it."""

    def before(module, args) -> None:
        enter()

    def after(module, args, out) -> None:
        leave()

    hooks = [
        pipe.unet.register_forward_pre_hook(before),
        pipe.unet.register_forward_hook(after, always_call=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@pytest.fixture
def pipe(tiny_pipeline) -> FairyPipeline:
    return FairyPipeline.from_pipe(tiny_pipeline)


def edit_with_report(pipe: FairyPipeline, shortcuts: Shortcuts = EXACT, **settings):
    settings = {"num_inference_steps": 4, "generator": 3, "output_type": "pt"} | GUIDED | settings
    return pipe(FRAMES, "make it red", anchor_indices=[0, 2], shortcuts=shortcuts, **settings)


def edit(pipe: FairyPipeline, shortcuts: Shortcuts = EXACT, **settings):
    return edit_with_report(pipe, shortcuts, **settings).frames


@pytest.mark.parametrize("shortcuts", EACH)
def test_a_shortcut_changes_the_result(pipe, shortcuts):
    assert (edit(pipe, shortcuts)[1] - edit(pipe)[1]).abs().max() > 1e-3


@pytest.mark.parametrize("shortcuts", EACH)
def test_with_shortcuts_too_the_batch_does_not_matter(pipe, shortcuts):
    expected = edit(pipe, shortcuts, frame_batch_size=5)
    for frame_batch_size in (1, 2):
        out = edit(pipe, shortcuts, frame_batch_size=frame_batch_size)
        assert torch.allclose(out, expected, atol=1e-4)


@pytest.mark.parametrize("shortcuts", EACH)
def test_with_shortcuts_too_the_cache_may_be_on_another_device(pipe, shortcuts):
    # For the cache "cpu:0" is another device than "cpu"
    elsewhere = edit(pipe, shortcuts, anchor_cache_device="cpu:0")
    assert torch.allclose(elsewhere, edit(pipe, shortcuts), atol=1e-5)


def test_a_top_level_without_attention_reuses_and_reads_nothing(pipe):
    # As SDXL's. With the cache elsewhere, steps that keep nothing are looked for there
    blocks = {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    }
    torch.manual_seed(0)
    pipe.unet = UNet2DConditionModel.from_config(pipe.unet.config, **blocks).eval()
    settings = {"shortcuts": Shortcuts(reuse=2), "anchor_cache_device": "cpu:0"}
    assert edit(pipe, **settings).isfinite().all()


def test_guidance_in_no_step_is_no_guidance(pipe):
    none = edit(pipe, Shortcuts(guidance_interval=(0.0, 0.1)))
    assert torch.allclose(none, edit(pipe, **UNGUIDED), atol=1e-5)


def test_unguided_steps_have_one_row_for_each_frame(pipe):
    rows = []
    hook = pipe.unet.conv_out.register_forward_hook(lambda m, a, out: rows.append(out.shape[0]))
    edit(pipe, Shortcuts(guidance_interval=(0.25, 0.75)), frame_batch_size=5)
    hook.remove()
    num_anchors, num_frames = 2, 3
    per_frame = [1, 3, 3, 1]
    assert rows == [n * num_anchors for n in per_frame] + [n * num_frames for n in per_frame]


def kept(pipe: FairyPipeline, shortcuts: Shortcuts, monkeypatch) -> dict[tuple[int, str], int]:
    """Return how many tokens of how many groups each (step, layer) of the cache has."""
    shapes = {}
    put = AnchorCache.put

    def see(self, step, layer, k, v):
        shapes[step, layer] = k.shape[0] * k.shape[1]
        put(self, step, layer, k, v)

    with monkeypatch.context() as patch:
        patch.setattr(AnchorCache, "put", see)
        edit(pipe, shortcuts)
    return shapes


def test_unguided_steps_keep_one_group_of_the_anchors(pipe, monkeypatch):
    tokens = kept(pipe, Shortcuts(guidance_interval=(0.0, 0.5)), monkeypatch)
    lower = "mid_block.attentions.0.transformer_blocks.0.attn1"
    assert tokens[0, lower] == tokens[1, lower] == 3 * tokens[2, lower] == 3 * tokens[3, lower]


def test_layers_left_out_keep_nothing(pipe, monkeypatch):
    layers = kept(pipe, Shortcuts(reuse=2), monkeypatch)
    whole = {layer for step, layer in layers if step == 0}
    top = {layer for step, layer in layers if step == 1}
    assert top == {name for name in whole if name.startswith(("down_blocks.0", "up_blocks.1"))}
    assert len(top) == 3
    assert len(whole) == 7


def test_the_report_names_the_shortcuts(pipe):
    used = edit_with_report(pipe, QUALITIES["fast"]).used
    assert (used.quality, used.shortcuts) == ("fast", QUALITIES["fast"])
    used = edit_with_report(pipe).used
    assert (used.quality, used.shortcuts) == ("exact", EXACT)


def test_within_the_unet_no_number_is_read(pipe):
    readings = Readings()

    def leave() -> None:
        # Reading is seen
        float(torch.ones(1))
        assert readings.seen == ["aten::_local_scalar_dense"]
        readings.seen.clear()
        readings.__exit__(None, None, None)

    with within_the_unet(pipe, readings.__enter__, leave):
        edit(pipe, num_inference_steps=2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_within_the_unet_the_host_does_not_wait_for_the_card(tiny_pipeline):
    pipe = FairyPipeline.from_pipe(tiny_pipeline.to("cuda"))
    set_mode = torch.cuda.set_sync_debug_mode
    # What is set up once, such as a library's workspace, may wait
    edit(pipe)
    with within_the_unet(pipe, lambda: set_mode("error"), lambda: set_mode("default")):
        edit(pipe)
