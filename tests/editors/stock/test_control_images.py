"""What ControlNets see of a frame, and that a frame is edited as by diffusers' own call."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch
import transformers

from examples.tiny_editor import make_tiny_editor
from fairy.editors.base import Anchor, EditInput
from fairy.editors.stock import control_images
from fairy.editors.stock.control_images import ControlImages, edges, lines
from fairy.editors.stock.editor import StockEditor
from fairy.errors import ModelError, SettingsError
from fairy.models.controlnets import read_controls
from fairy.settings import EditConfig
from tests.editors.stock.conftest import PROMPT, SIZE, STEPS, begin, edited

CPU = torch.device("cpu")


def square(light: int, dark: int, size: int = 64) -> np.ndarray:
    """Return a square of one level on another."""
    picture = np.full((size, size, 3), light, np.uint8)
    picture[16:48, 16:48] = dark
    return picture


def test_edges_are_where_the_picture_changes():
    found = edges(square(200, 40))[..., 0]
    assert set(np.unique(found)) == {0, 255}
    rows, columns = np.nonzero(found)
    near = [np.abs(places[:, None] - (16, 47)).min(axis=1) for places in (rows, columns)]
    assert np.minimum(*near).max() <= 1
    assert not found[24:40, 24:40].any()


def test_lines_are_dark_strokes_and_flat_pictures_have_none():
    picture = square(220, 220)
    picture[30:33] = 20
    found = lines(picture)[..., 0]
    assert found[31].min() > 100
    assert found[:10].max() == 0
    assert lines(square(90, 90)).max() == 0


@pytest.fixture(scope="module")
def depth_folder(tmp_path_factory) -> str:
    backbone = transformers.Dinov2Config(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=1,
        mlp_ratio=1,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2"],
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=8,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[4, 4],
        fusion_hidden_size=4,
        head_in_channels=4,
        head_hidden_size=2,
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("depth")
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return str(folder)


def test_depth_comes_from_a_model_and_spans_black_to_white(depth_folder, frames, monkeypatch):
    monkeypatch.setattr(control_images, "DEPTH_MODEL", depth_folder)
    images = ControlImages(read_controls(["depth"]), CPU)
    seen = np.asarray(images.arguments([frames[0]])["image"])
    assert seen.shape == frames[0].shape
    assert (seen.min(), seen.max()) == (0, 255)
    again = np.asarray(images.arguments([frames[1]])["image"])
    assert not np.array_equal(seen, again)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="hf download depth-anything/Depth-Anything-V2-Small-hf"):
        ControlImages(read_controls(["depth"]), CPU)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "aux" in name else found(name)
    )
    with pytest.raises(SettingsError, match=r"pip install 'fairy-video\[control\]'"):
        ControlImages(read_controls(["pose"]), CPU)


def test_poses_are_drawn_by_controlnet_aux_at_the_frame_s_size(frames, monkeypatch):
    class Detector:
        @classmethod
        def from_pretrained(cls, name):
            assert name == control_images.POSE_MODEL
            return cls()

        def to(self, device):
            assert device == CPU

        def __call__(self, picture, output_type):
            return PIL.Image.new("RGB", (16, 16), "white")

    package = SimpleNamespace(OpenposeDetector=Detector, __spec__=object())
    monkeypatch.setitem(sys.modules, "controlnet_aux", package)
    seen = ControlImages(read_controls(["pose"]), CPU).arguments([frames[0]])["image"]
    assert np.asarray(seen).shape == frames[0].shape
    assert np.asarray(seen).min() == 255


@pytest.fixture(scope="module")
def editor() -> StockEditor:
    return StockEditor(make_tiny_editor("controlnet"), controls=read_controls(["canny:0.7"]))


def test_one_frame_is_diffusers_own_call_with_its_edges(editor, frames):
    with begin(editor, frames, [0]) as session:
        ours = session._anchors[0]
    pipe = make_tiny_editor("controlnet")
    stock = pipe(
        PROMPT,
        PIL.Image.fromarray(edges(frames[0])),
        height=SIZE[0],
        width=SIZE[1],
        num_inference_steps=STEPS,
        guidance_scale=7.5,
        controlnet_conditioning_scale=0.7,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
    ).images[0]
    assert torch.equal(ours, stock)


def test_the_factor_and_the_anchors_act(editor, frames):
    weaker = StockEditor(editor.pipe, controls=read_controls(["canny:0.1"]))
    picture = np.ascontiguousarray(square(200, 40))
    alone = edited(editor, [picture], [0], [0])
    assert not torch.allclose(alone, edited(weaker, [picture], [0], [0]), atol=1e-4)
    two = [picture, np.ascontiguousarray(picture[:, ::-1] // 2)]
    assert not torch.equal(edited(editor, two, [1], [0]), alone)


def test_two_controlnets_see_two_pictures_of_each_frame(frames):
    pipe = make_tiny_editor("controlnet")
    pipe.register_modules(controlnet=type(pipe)(**_parts(pipe)).controlnet)
    both = StockEditor(pipe, controls=read_controls(["ip2p", "canny:0.5"]))
    config = EditConfig(num_inference_steps=STEPS)
    with both.begin(PROMPT, [Anchor(0, frames[0])], config, size=SIZE) as session:
        inputs = [EditInput(index, frames[index]) for index in (1, 2)]
        together = session.edit_tensors(inputs)
        each = torch.cat([session.edit_tensors([one]) for one in inputs])
    torch.testing.assert_close(together, each, atol=2e-3, rtol=0)
    given = both._control.arguments(frames[:1])
    assert given["controlnet_conditioning_scale"] == [1.0, 0.5]
    assert np.array_equal(np.asarray(given["image"][0]), frames[0])
    assert np.array_equal(np.asarray(given["image"][1]), edges(frames[0]))


def _parts(pipe) -> dict:
    parts = {**pipe.components, "controlnet": [pipe.controlnet, pipe.controlnet]}
    return parts | {"requires_safety_checker": False}
