"""Plans of stock pipelines, from configurations alone."""

from __future__ import annotations

import pytest
import torch
from typer.testing import CliRunner

from examples.tiny_editor import make_tiny_editor
from fairy.cli.app import app
from fairy.doctor.memory_plan import plan_memory
from fairy.editors.base import Anchor
from fairy.editors.stock.editor import StockEditor
from fairy.settings import EditConfig
from tests.tiny import make_frames


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
    parts = [p for p in editor.pipe.components.values() if isinstance(p, torch.nn.Module)]
    weights = sum(p.numel() for part in parts for p in part.parameters())
    assert plan.weights == 4 * weights
    assert plan.far.held * 2 == plan.near.held
    assert editor.memory(config, size=(64, 64), num_anchors=2).cache == plan.near.cache


@pytest.mark.parametrize("model", ["klein"], indirect=True)
def test_the_command_prints_both_ways(model):
    arguments = ["doctor", "--plan", "64x64", "--model", model[0], "--size", "64"]
    result = CliRunner().invoke(app, [*arguments, "--device", "cuda", "--memory", "8GB"])
    assert result.exit_code == 0
    assert "--anchor-cache step" in result.output
