"""--watermark, with a stand-in for TrustMark: its weights are downloaded and not at hand here."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import FairyError, JobInterrupted, ModelError, SettingsError
from fairy.interrupt import Cancel
from fairy.jobs.edit import edit_video
from fairy.media.read import read_video
from fairy.media.watermark import Watermark
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

CONFIG = EditConfig(
    size=32, num_inference_steps=2, seed=4, frame_batch_size=2, shots="off", watermark="fairy"
)
RED = np.array((255, 0, 0), np.uint8)


class TrustMark:
    """Marks a picture by a red row for each letter, and has the real one's arguments."""

    def __init__(self, use_ECC=True, verbose=True, device="", model_type="Q", loadRemover=True):
        sys.stdout.write("Fetching model file (once only)")
        self.encoder, self.device = object(), device

    def encode(self, in_cover_image, string_secret, MODE="text", WM_STRENGTH=1.0):
        image = np.array(in_cover_image)
        image[: len(string_secret)] = RED
        return PilImage.fromarray(image)


@pytest.fixture
def trustmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("trustmark")
    module.__spec__ = ModuleSpec("trustmark", None)
    module.TrustMark = type("TrustMark", (TrustMark,), {})
    monkeypatch.setitem(sys.modules, "trustmark", module)
    return module


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(make_frames(4, 48, 64), path, fps=10)
    return path


def marked(path: Path) -> np.ndarray:
    """Return how many rows at the top of each frame are red."""
    is_red = np.abs(read_video(path).astype(int) - RED).mean(axis=(2, 3)) < 40
    return is_red.argmin(axis=1)


def test_a_picture_is_marked_and_nothing_is_printed(trustmark, capsys):
    image = make_frames(1, 48, 64)[0]
    result = Watermark("ada", torch.device("cpu"))(image)
    assert (result[:3] == RED).all() and (result[3:] == image[3:]).all()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "settings"),
    [("out.mp4", {}), ("out.gif", {}), ("out.mp4", {"interpolate": 2, "upscale": "2x"})],
)
def test_every_frame_of_a_result_is_marked(
    trustmark, source: Path, pipe: FairyPipeline, name: str, settings: dict
):
    config = replace(CONFIG, crf=1 if name == "out.mp4" else None, **settings)
    out, side = source.with_name(name), source.with_name(f"side-{name}")
    edit_video(source, "snow", out, config, pipeline=pipe, compare=side)
    for path, num_frames in ((out, 4 * settings.get("interpolate", 1)), (side, 4)):
        assert len(marked(path)) == num_frames
        assert (np.abs(marked(path) - 5) <= 1).all()


def test_the_file_names_the_text(trustmark, source: Path, pipe: FairyPipeline):
    edit_video(source, "snow", source.with_name("out.mp4"), CONFIG, pipeline=pipe)
    with av.open(str(source.with_name("out.mp4"))) as file:
        assert json.loads(file.metadata["comment"])["watermark"] == "fairy"


def test_an_edit_with_another_text_does_not_go_on(trustmark, source: Path, pipe: FairyPipeline):
    out, cancel = source.with_name("out.mp4"), Cancel()
    with pytest.raises(JobInterrupted):
        edit_video(
            source, "snow", out, CONFIG, pipeline=pipe, cancel=cancel,
            progress=lambda done, total: cancel.set(),
        )  # fmt: skip
    with pytest.raises(FairyError, match="watermark"):
        edit_video(source, "snow", out, replace(CONFIG, watermark="other"), pipeline=pipe)


def test_missing_weights_are_one_line(trustmark):
    def without(self, **options):
        sys.stdout.write("Error downloading model file.\n/x.yaml")
        self.encoder = None

    trustmark.TrustMark.__init__ = without
    with pytest.raises(ModelError, match=r"no weights \(Error downloading model file\. /x\.yaml\)"):
        Watermark("ada", torch.device("cpu"))


def test_a_missing_package_is_said_before_any_work(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setitem(sys.modules, "trustmark", None)
    with pytest.raises(SettingsError, match=r"pip install 'fairy-video\[watermark\]'"):
        edit_video(source, "snow", tmp_path / "out.mp4", CONFIG)


@pytest.mark.parametrize("text", ["", "ninechars", "für"])
def test_what_does_not_fit_is_refused(text: str):
    with pytest.raises(SettingsError, match=r"watermark .*: use 1 to 8 letters"):
        EditConfig(watermark=text)
