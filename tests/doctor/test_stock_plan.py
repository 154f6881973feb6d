"""Plans of stock pipelines, from configurations alone."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from examples.tiny_editor import FAMILIES, make_tiny_editor
from fairy.cli.app import app
from fairy.doctor.memory_plan import plan_memory
from fairy.editors.base import Anchor
from fairy.editors.loading import load_editor
from fairy.editors.stock.editor import StockEditor
from fairy.errors import ModelError
from fairy.settings import EditConfig
from tests.editors.ip2p.test_reference import adapter
from tests.editors.stock.conftest import make_editor
from tests.tiny import make_frames, save_tiny_pipeline

__all__ = ["adapter", "make_editor"]


@pytest.fixture(scope="module", params=["klein", "qwen-plus", "sdxl"])
def model(request, tmp_path_factory) -> tuple[str, StockEditor]:
    folder = tmp_path_factory.mktemp(request.param)
    editor = StockEditor(make_tiny_editor(request.param))
    editor.pipe.save_pretrained(folder)
    return str(folder), editor


def test_the_plan_is_what_an_edit_keeps(model):
    folder, editor = model
    config = EditConfig(
        model=folder, size=64, num_inference_steps=2, num_anchors=2, dtype="float32"
    )
    plan = plan_memory((64, 64), config)
    anchors = [Anchor(i, frame) for i, frame in enumerate(make_frames(2, 64, 64))]
    with editor.begin("snow", anchors, config, size=(64, 64)) as session:
        assert plan.near.cache == session.used.anchor_cache_bytes
        assert plan.shape.num_groups == session.used.num_groups
    assert plan.weights == 4 * num_weights(editor.pipe)
    assert plan.far.held * 2 == plan.near.held
    assert editor.memory(config, size=(64, 64), num_anchors=2).cache == plan.near.cache


def num_weights(pipe) -> int:
    parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    return sum(p.numel() for part in parts for p in part.parameters())


# Other weights or another way to run of a class that is there
VARIANTS = {"cosxl", "klein-base", "qwen", "qwen-2511"}


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in VARIANTS))
        for name in FAMILIES
        if name != "controlnet"
    ],
)
def test_every_family_is_planned_from_its_folder(family, make_editor, tmp_path):
    """With torchvision or without, which OmniGen's pipeline needs."""
    pipe = make_editor(family).pipe
    pipe.save_pretrained(tmp_path)
    config = EditConfig(model=str(tmp_path), size=64, num_inference_steps=3, dtype="bfloat16")
    plan = plan_memory((64, 64), config)
    assert plan.weights == 2 * num_weights(pipe)
    assert 0 < 3 * plan.far.held == plan.near.cache
    assert plan.near.peak(1) > plan.far.peak(1) > 0


def test_controlnets_are_counted(make_editor, tmp_path):
    editor = make_editor("controlnet")
    editor.pipe.save_pretrained(tmp_path)
    model, net = str(tmp_path), tmp_path / "controlnet"
    with pytest.raises(ModelError, match="--control ip2p"):
        plan_memory((64, 64), EditConfig(model=model))
    plans = [
        plan_memory((64, 64), EditConfig(model=model, size=64, dtype="float32", control=given))
        # Published ones have the shape that diffusers gives one for this UNet; here it is another
        for given in ((f"canny={net}",), (f"canny={net}", f"ip2p={net}"), ("canny",))
    ]
    one, two, published = (plan.weights for plan in plans)
    assert one == 4 * num_weights(editor.pipe)
    assert two - one == 4 * sum(p.numel() for p in editor.pipe.controlnet.parameters())
    assert published > one
    assert plans[1].near.anchors > plans[0].near.anchors
    config = EditConfig(anchor_cache="whole")
    assert editor.memory(config, size=(64, 64), num_anchors=3) == plans[0].near


def test_an_ip_adapter_is_counted(adapter, tmp_path):
    model = str(save_tiny_pipeline(tmp_path, size=32))
    plans = [
        plan_memory((32, 32), EditConfig(model=model, dtype="float32", ip_adapter=given))
        for given in (None, f"{adapter}:0.5")
    ]
    pipe = load_editor(EditConfig(model=model, device="cpu", ip_adapter=adapter))
    added = sum(one.numel() for one in load_file(adapter).values())
    encoder = sum(one.numel() for one in pipe.image_encoder.parameters())
    assert plans[1].weights - plans[0].weights == 4 * (added + encoder)
    with pytest.raises(ModelError, match="not on this machine; hf download a/b"):
        plan_memory((32, 32), EditConfig(model=model, ip_adapter="a/b/c.safetensors"))


@pytest.mark.parametrize("model", ["klein"], indirect=True)
def test_the_command_prints_both_ways(model):
    arguments = ["doctor", "--plan", "64x64", "--model", model[0], "--size", "64"]
    result = CliRunner().invoke(app, [*arguments, "--device", "cuda", "--memory", "8GB"])
    assert result.exit_code == 0
    assert "--anchor-cache step" in result.output
