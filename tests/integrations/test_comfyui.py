"""Our ComfyUI nodes against a stand-in for ComfyUI; test_comfyui_server.py has the real one."""

from __future__ import annotations

import ast
import asyncio
import importlib
import io
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import SettingsError
from fairy.media.read import probe, read_frames
from fairy.media.write import write_video
from fairy.options import options_of
from fairy.settings import EditConfig
from tests.integrations.comfyui_stand_in import NODES, Interrupted, StandIn, Video, install
from tests.tiny import make_frames, make_tiny_pipeline

QUICK = {"num_inference_steps": 1, "size": 32, "num_anchors": 1}


@pytest.fixture
def comfy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return install(monkeypatch, tmp_path)


@pytest.fixture
def model(comfy: StandIn) -> Any:
    work = importlib.import_module("fairy_comfyui.work")
    editor = FairyPipeline.from_pipe(make_tiny_pipeline())
    modules = [one for one in editor.components.values() if isinstance(one, torch.nn.Module)]
    return work.FairyModel("tiny", editor, work.ManagedModel(modules))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_video(make_frames(10, 48, 64), tmp_path / "clip.mkv", 10)
    return tmp_path / "clip.mkv"


def schemas(comfy: StandIn) -> dict[str, Any]:
    nodes = asyncio.run(asyncio.run(comfy.nodes.comfy_entrypoint()).get_node_list())
    return {schema.node_id: schema for schema in (node.define_schema() for node in nodes)}


def edit(comfy: StandIn, model: Any, video: Any, **settings: Any) -> Path:
    (made,) = comfy.nodes.FairyEditVideo.execute(model, video, "make it snow", **QUICK | settings)
    return Path(made.path)


def test_only_one_file_imports_comfyui():
    for path in NODES.glob("*.py"):
        tree = ast.parse(path.read_text())
        named = {
            (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
        }
        outside = {name for name in named if name.startswith(("comfy", "folder_paths"))}
        assert bool(outside) == (path.name == "host.py"), path


def test_no_dependency_drags_torch():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    project = tomllib.loads((NODES / "pyproject.toml").read_text())["project"]
    assert [one.partition(">")[0] for one in project["dependencies"]] == ["fairy-video"]


def test_loading_the_nodes_does_not_import_torch(tmp_path: Path):
    code = (
        "import sys; from unittest.mock import MagicMock\n"
        "for name in ('folder_paths', 'comfy_api', 'comfy_api.latest'):\n"
        "    sys.modules[name] = MagicMock(models_dir='.')\n"
        f"sys.path.insert(0, {str(NODES.parent)!r}); import comfyui\n"
        "assert 'torch' not in sys.modules and 'diffusers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_inputs_have_the_settings_bounds_and_choices(comfy: StandIn):
    inputs = {one.id: one for one in schemas(comfy)["FairyEditVideo"].inputs}
    for field in options_of(EditConfig):
        if field.name not in inputs or field.name == "model":
            continue
        shown = inputs[field.name]
        assert shown.tooltip.startswith(field.option.help)
        if field.option.choices:
            assert tuple(shown.options) == field.option.choices
        if field.default is not None:
            assert shown.default == field.default
    assert inputs["num_inference_steps"].default == inputs["num_inference_steps"].min == 0


def test_widgets_left_alone_are_the_default_settings(comfy: StandIn):
    inputs = schemas(comfy)["FairyEditVideo"].inputs
    known = {field.name for field in options_of(EditConfig)} - {"model"}
    given = {one.id: one.default for one in inputs if one.id in known}
    assert len(given) >= 10
    assert sys.modules["fairy_comfyui.inputs"].settings(given) == EditConfig()


@pytest.mark.parametrize("path", sorted((NODES / "graphs").glob("*.json")))
def test_examples_name_only_inputs_that_nodes_have(comfy: StandIn, path: Path):
    known = schemas(comfy)
    for node in json.loads(path.read_text()).values():
        if node["class_type"] in known:
            inputs = known[node["class_type"]].inputs
            required = {one.id for one in inputs if not getattr(one, "optional", False)}
            assert required <= node["inputs"].keys() <= {one.id for one in inputs}


def test_a_video_is_edited_into_a_file_of_its_own(comfy: StandIn, model: Any, clip: Path):
    first, second = (edit(comfy, model, Video(str(clip))) for _ in range(2))
    assert first != second
    times = [frame.time_s for frame in read_frames(clip)]
    assert [frame.time_s for frame in read_frames(first)] == times
    assert [path.name for path in first.parent.iterdir()] == ["edited.mp4"]


def test_progress_ends_whole_and_has_a_picture(comfy: StandIn, model: Any, clip: Path):
    edit(comfy, model, Video(str(clip)))
    assert comfy.reports[-1][:2] == (10, 10)
    kind, picture, _ = next(one for _, _, one in comfy.reports if one is not None)
    assert (kind, picture.size) == ("JPEG", (32, 24))


@pytest.mark.parametrize("stop_at", [0, 4])
def test_interrupt_reaches_comfyui_and_leaves_no_file(
    comfy: StandIn, model: Any, clip: Path, stop_at: int
):
    comfy.stop_at = stop_at
    with pytest.raises(Interrupted):
        edit(comfy, model, Video(str(clip)), frame_batch_size=1)
    assert list(comfy.temp.iterdir()) == []


def test_a_trim_that_is_not_applied_yet_is_respected(comfy: StandIn, model: Any, clip: Path):
    out = edit(comfy, model, Video(str(clip), trim=(0.2, 0.4)))
    assert [frame.time_s for frame in read_frames(out)] == [Fraction(n, 10) for n in range(4)]


def test_a_crop_that_is_not_applied_yet_is_applied_by_comfyui(
    comfy: StandIn, model: Any, clip: Path
):
    class Cropped(Video):
        def has_pending_frame_edits(self) -> bool:
            return True

        def save_to(self, path: str) -> None:
            write_video(make_frames(3, 32, 32), path, 10)

    assert probe(edit(comfy, model, Cropped(str(clip), trim=(5.0, 1.0)))).num_frames == 3


def test_a_video_in_memory_is_edited(comfy: StandIn, model: Any, clip: Path):
    out = edit(comfy, model, Video(io.BytesIO(clip.read_bytes())))  # type: ignore[arg-type]
    assert probe(out).num_frames == 10


def test_frames_come_back_in_comfyui_s_form(comfy: StandIn, model: Any):
    images = torch.from_numpy(make_frames(5, 48, 64)).float() / 255
    (made,) = comfy.nodes.FairyEditFrames.execute(model, images, "make it snow", **QUICK)
    assert made.shape == images.shape and made.dtype == torch.float32
    assert made.min() >= 0 and made.max() <= 1
    assert not torch.equal(made, images)
    assert list(comfy.temp.iterdir()) == []


@pytest.mark.parametrize("count", [1, 5])
def test_outside_of_the_mask_frames_stay(comfy: StandIn, model: Any, count: int):
    images = torch.from_numpy(make_frames(5, 48, 64)).float() / 255
    mask = torch.zeros(count, 48, 64)
    mask[:, :, 32:] = 1
    (made,) = comfy.nodes.FairyEditFrames.execute(model, images, "make it snow", mask=mask, **QUICK)
    assert torch.equal(made[:, :, :28], images[:, :, :28])
    assert not torch.equal(made[:, :, 40:], images[:, :, 40:])


def test_anchors_can_be_fixed_and_used_for_the_frames(comfy: StandIn, model: Any, clip: Path):
    nodes, video = comfy.nodes, Video(str(clip))
    anchors, numbers = nodes.FairyAnchors.execute(model, video, "make it snow", **QUICK)
    assert (anchors.shape, numbers) == ((1, 48, 64, 3), "5")
    images = torch.from_numpy(np.stack([one.image for one in read_frames(clip)])).float() / 255
    fixed = 1 - anchors
    (made,) = nodes.FairyEditFrames.execute(
        model, images, "make it snow", anchor_images=fixed, anchor_frames=numbers, **QUICK
    )
    assert torch.allclose(made[5], fixed[0], atol=1 / 255)


@pytest.mark.parametrize("numbers", ["", "99"])
def test_numbers_that_do_not_fit_the_anchors_are_one_line(comfy: StandIn, model: Any, numbers: str):
    images = torch.zeros(5, 48, 64, 3)
    with pytest.raises(SettingsError, match="give the numbers of the 1 anchor_images"):
        comfy.nodes.FairyEditFrames.execute(
            model, images, "snow", anchor_images=images[:1], anchor_frames=numbers, **QUICK
        )


def test_an_empty_instruction_is_refused(comfy: StandIn):
    assert comfy.nodes.FairyEditVideo.validate_inputs(instruction="make it snow") is True
    assert "say what to change" in comfy.nodes.FairyEditVideo.validate_inputs(instruction=" ")


def test_models_are_found_in_comfyui_s_folder(comfy: StandIn):
    (comfy.models / "fairy" / "mine").mkdir(parents=True)
    (comfy.models / "fairy" / "mine" / "model_index.json").write_text("{}")
    (model,) = (one for one in schemas(comfy)["FairyLoadModel"].inputs if one.id == "model")
    assert model.options == ["mini", "mine"]
