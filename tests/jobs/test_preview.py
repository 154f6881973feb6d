"""A preview shows a few edited frames, and what it computed is not computed again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from fairy.editors.base import Anchor
from fairy.editors.ip2p.denoise import Denoiser
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import OutputExistsError
from fairy.jobs.edit import edit_video
from fairy.jobs.pace import EditProgress
from fairy.jobs.plan import EditRequest
from fairy.jobs.preview import preview_anchors, preview_video
from fairy.media.read import read_video
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

CONFIG = EditConfig(size=32, num_inference_steps=2, seed=4, frame_batch_size=2, shots="off")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(make_frames(9, 48, 64), path, fps=10)
    return path


@pytest.fixture
def num_edited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is denoised from here on: "anchors" or "frames", once for each pass."""
    passes: list[str] = []
    for name in ("anchors", "frames"):
        method = getattr(Denoiser, f"edit_{name}")

        def counted(self: Denoiser, *given: object, name=name, method=method) -> object:
            passes.append(name)
            return method(self, *given)

        monkeypatch.setattr(Denoiser, f"edit_{name}", counted)
    return passes


def test_preview_leaves_a_sheet_and_its_anchors(source: Path, pipe: FairyPipeline):
    progress = EditProgress()
    sheet = preview_video(
        source, "snow", source.with_name("out.mp4"), CONFIG,
        num_frames=5, pipeline=pipe, progress=progress,
    )  # fmt: skip
    assert (progress.words, progress.done, progress.total) == ("frames", 5, 5)
    assert sheet == source.with_name("out.preview.png")
    with PilImage.open(sheet) as picture:
        # Two blocks of source and result, four columns in the first
        assert picture.width > 4 * 180
        assert picture.height > 4 * 180
    names = {path.name for path in source.parent.iterdir()}
    assert names == {"clip.mp4", "out.preview.png", "out.mp4.fairy"}


def test_the_edit_that_follows_does_not_edit_the_anchors_again(
    source: Path, pipe: FairyPipeline, num_edited: list[str], tmp_path: Path
):
    preview_video(source, "snow", tmp_path / "out", CONFIG, num_frames=2, pipeline=pipe)
    assert num_edited.count("anchors") == 1
    edit_video(source, "snow", tmp_path / "out", CONFIG, pipeline=pipe)
    assert num_edited.count("anchors") == 1
    edit_video(source, "snow", tmp_path / "alone", CONFIG, pipeline=pipe)
    followed, alone = read_video(tmp_path / "out").astype(int), read_video(tmp_path / "alone")
    assert np.abs(followed - alone).max() <= 1
    assert not (tmp_path / "out.fairy").exists()


def test_anchors_are_previewed_with_their_sources_and_edited_once(
    source: Path, pipe: FairyPipeline, num_edited: list[str], tmp_path: Path
):
    request = EditRequest.of(source, "snow", tmp_path / "out", CONFIG)
    seen: list[tuple[float, float]] = []
    found = preview_anchors(request, editor=pipe, progress=lambda *done: seen.append(done))
    frames = read_video(source)
    assert [one.index for one in found] == [1, 4, 7]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for one in found:
        assert (one.source == frames[one.index]).all()
        assert one.edited.shape == (24, 32, 3)
    (middle,) = preview_anchors(request, editor=pipe, most=1)
    assert middle.index == 4 and (middle.edited == found[1].edited).all()
    edit_video(source, "snow", tmp_path / "out", CONFIG, pipeline=pipe)
    assert num_edited.count("anchors") == 1


def test_a_preview_of_another_instruction_starts_over(
    source: Path, pipe: FairyPipeline, num_edited: list[str]
):
    out = source.with_name("out.mp4")
    preview_video(source, "snow", out, CONFIG, num_frames=1, pipeline=pipe)
    preview_video(source, "night", out, CONFIG, num_frames=1, pipeline=pipe)
    assert num_edited.count("anchors") == 2


def test_only_shots_that_are_shown_are_edited(
    source: Path, pipe: FairyPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "shots.txt").write_text("2\n6\n")
    config = EditConfig(size=32, num_inference_steps=1, shots=str(tmp_path / "shots.txt"))
    seen: list[int] = []
    begin = FairyPipeline.begin

    def counted(self: FairyPipeline, prompt: str, anchors: list[Anchor], *args, **kwargs):
        seen.append(len(anchors))
        return begin(self, prompt, anchors, *args, **kwargs)

    monkeypatch.setattr(FairyPipeline, "begin", counted)
    preview_video(source, "snow", tmp_path / "out.mp4", config, num_frames=1, pipeline=pipe)
    assert seen == [3]


def test_another_picture_is_not_replaced(source: Path, pipe: FairyPipeline):
    mine = source.with_name("out.preview.png")
    PilImage.new("RGB", (4, 4)).save(mine)
    with pytest.raises(OutputExistsError, match="not a preview of Fairy's"):
        preview_video(
            source, "snow", source.with_name("out.mp4"), CONFIG, num_frames=1, pipeline=pipe
        )


def test_a_long_clip_is_not_searched_for_cuts(
    tmp_path: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    source = tmp_path / "clip.mp4"
    write_video(make_frames(6, 48, 64), source, fps=10)
    monkeypatch.setattr("fairy.jobs.preview.SEARCHED_FRAMES", 5)
    monkeypatch.setattr("fairy.jobs.shots.find_shots", lambda *arguments: 1 / 0)
    config = EditConfig(size=32, num_inference_steps=1)
    sheet = preview_video(source, "red", tmp_path / "out.mp4", config, num_frames=2, pipeline=pipe)
    assert sheet == tmp_path / "out.preview.png"
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "out.preview.png"}
