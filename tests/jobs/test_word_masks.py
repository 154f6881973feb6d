"""Masks by words: steady over a shot, kept, and exact outside like every mask."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import ModelError, SettingsError
from fairy.jobs import word_masks
from fairy.jobs.edit import edit_video
from fairy.jobs.plan import EditRequest, plan_edit
from fairy.jobs.word_masks import steady
from fairy.media.read import read_video
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

SIDE = 64


def moving(num_frames: int, speed: int = 2) -> list[np.ndarray]:
    """Return frames (64,64,3) in which a textured square moves to the right."""
    rng = np.random.default_rng(0)
    back = cv2.GaussianBlur(rng.integers(0, 120, (SIDE, SIDE, 3)).astype(np.uint8), (0, 0), 2)
    square = cv2.GaussianBlur(rng.integers(120, 255, (20, 20, 3)).astype(np.uint8), (0, 0), 1)
    frames = []
    for number in range(num_frames):
        frame = back.copy()
        frame[20:40, 8 + speed * number : 28 + speed * number] = square
        frames.append(frame)
    return frames


def where(number: int, speed: int = 2) -> np.ndarray:
    likely = np.zeros((SIDE, SIDE), np.float32)
    likely[20:40, 8 + speed * number : 28 + speed * number] = 1
    return likely


def test_what_is_lost_for_a_frame_is_held_along_the_motion():
    found = iter([where(0), where(1), where(2), where(3) * 0.4, where(4)])
    masks = list(steady(moving(5), lambda frame: next(found)))
    assert (masks[3] == where(3)).mean() > 0.95
    assert masks[3].sum() > 0.8 * where(3).sum()


def test_what_is_gone_for_long_is_let_go():
    found = iter([where(0), where(1)] + [where(0) * 0] * 6)
    masks = list(steady(moving(8), lambda frame: next(found)))
    assert masks[1].sum() > 300
    assert masks[-1].sum() == 0


def test_a_flicker_does_not_turn_white():
    found = iter([where(0) * 0, where(1) * 0.7, where(2) * 0])
    masks = list(steady(moving(3), lambda frame: next(found)))
    assert sum(mask.sum() for mask in masks) == 0


def test_nothing_is_held_over_a_cut():
    frames = [*moving(3), 255 - moving(1)[0]]
    found = iter([where(0), where(1), where(2), where(3) * 0.4])
    masks = list(steady(frames, lambda frame: next(found)))
    assert masks[2].sum() > 300
    assert masks[3].sum() == 0


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for the model: words mark the left half; returns what was looked for."""
    asked: list[str] = []

    class Left:
        def __init__(self, words: str, device: object) -> None:
            asked.append(words)

        def __call__(self, picture: np.ndarray) -> np.ndarray:
            likely = np.zeros((SIDE, SIDE), np.float32)
            likely[:, : SIDE // 2] = 1
            return likely

    monkeypatch.setattr(word_masks, "Segmenter", Left)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return asked


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_video(make_frames(6, 24, 32), tmp_path / "clip.mp4", fps=10)
    return tmp_path / "clip.mp4"


CONFIG = EditConfig(
    mask="red car", size=32, num_inference_steps=1, num_anchors=1, shots="off", codec="ffv1",
    pix_fmt="bgr0", enlarge="bicubic", seed=0,
)  # fmt: skip


def test_outside_of_what_words_say_the_frames_are_the_source_s(
    source: Path, pipe: FairyPipeline, found: list[str]
):
    for name in ("out.mkv", "again.mkv"):
        masks = source.with_name(f"masks-{Path(name).stem}")
        edit_video(source, "snow", source.with_name(name), CONFIG, pipeline=pipe, save_masks=masks)
    before, after, used = (
        read_video(source.with_name(name)) for name in ("clip.mp4", "out.mkv", "masks-out")
    )
    outside = used.max(axis=-1) == 0
    assert 0.3 < outside.mean() < 0.7
    assert np.array_equal(after[outside], before[outside])
    assert (after[~outside] != before[~outside]).any()
    # The second time the masks were there
    assert found == ["red car"]
    assert len(list((source.parent / "cache/fairy/masks").iterdir())) == 1


def test_other_words_and_other_clips_get_masks_of_their_own(source: Path, found: list[str]):
    def inputs(words: str, clip: Path) -> dict[str, str]:
        config = replace(CONFIG, mask=words)
        plan = plan_edit(EditRequest(source=clip, instruction="x", out=clip.with_name("o.mkv"),
                                     config=config))  # fmt: skip
        return plan.manifest().inputs

    other = source.with_name("other.mp4")
    write_video(make_frames(5, 24, 32, seed=1), other, fps=10)
    assert set(inputs("red car", source)) == {"mask"}
    inputs("dog", source)
    inputs("red car", other)
    assert found == ["red car", "dog", "red car"]


@pytest.mark.skipif(os.name == "nt", reason="folders are compared by name")
def test_missing_weights_end_before_anything_is_written(
    source: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(source.parent / "cache"))
    with pytest.raises(ModelError, match="no such file, and to find it by words"):
        edit_video(source, "snow", source.with_name("out.mkv"), CONFIG, pipeline=pipe)
    assert [path.name for path in source.parent.iterdir()] == ["clip.mp4"]


def test_words_that_are_nowhere_say_so(source: Path, found: list[str], monkeypatch):
    monkeypatch.setattr(
        word_masks, "steady", lambda frames, find: (np.zeros((24, 32)) for _ in frames)
    )
    with pytest.raises(SettingsError, match="mask red car: black in every frame"):
        plan_edit(EditRequest(source=source, instruction="x", out=source.with_name("o.mkv"),
                              config=CONFIG))  # fmt: skip
