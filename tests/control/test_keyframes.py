"""Key frames: a folder must hold what its list says, and what nobody edited is the model's."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairy.control.keyframes import KeyFrames, named_pictures
from fairy.errors import FairyError
from fairy.jobs.export_anchors import export_anchors
from fairy.media.info import VideoInfo
from fairy.media.read import probe, read_video
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

SIZE = (24, 32)


@pytest.fixture
def clip(tmp_path: Path) -> VideoInfo:
    write_video(make_frames(10, *SIZE), tmp_path / "clip.mp4", fps=10)
    return probe(tmp_path / "clip.mp4")


@pytest.fixture
def keys(clip: VideoInfo, tmp_path: Path) -> Path:
    """Anchors 1, 5 and 8, of which 5 was edited."""
    config = EditConfig(shots="off", num_anchors=3)
    pictures = export_anchors(clip.path, tmp_path / "keys", config)
    assert list(pictures) == [1, 5, 8]
    draw(pictures[5], 200)
    return tmp_path / "keys"


def draw(path: Path, level: int, size: tuple[int, int] = SIZE) -> None:
    Image.fromarray(np.full((*size, 3), level, np.uint8)).save(path)


def test_exported_anchors_are_the_frames_at_full_size(clip: VideoInfo, keys: Path):
    frame = np.asarray(Image.open(keys / "000001.png"))
    assert np.array_equal(frame, read_video(clip.path)[1])


def test_only_edited_pictures_are_key_frames(clip: VideoInfo, keys: Path):
    found = KeyFrames.of(EditConfig(keyframes=keys), clip)
    assert found.pictures == {5: keys / "000005.png"} and found.others == (1, 8)
    assert found.anchors == (1, 5, 8)
    assert (found.picture(5) == 200).all() and found.picture(1) is None


def test_pictures_are_named_one_by_one_too(clip: VideoInfo, keys: Path):
    draw(keys.with_name("a.png"), 90)
    config = EditConfig(keyframes=keys, keyframe=(f"3={keys.with_name('a.png')}",))
    found = KeyFrames.of(config, clip)
    assert found.anchors == (1, 3, 5, 8) and (found.picture(3) == 90).all()


def test_another_size_is_scaled_with_a_note(clip: VideoInfo, tmp_path: Path, caplog):
    draw(tmp_path / "a.png", 90, (12, 16))
    with caplog.at_level(logging.WARNING):
        found = KeyFrames.of(EditConfig(keyframe=(f"3={tmp_path / 'a.png'}",)), clip)
    assert found.picture(3).shape == (*SIZE, 3)
    assert "scaled from 16x12 to the clip's 32x24" in caplog.text


def test_a_folder_must_hold_what_its_list_says(clip: VideoInfo, keys: Path):
    (keys / "000008.png").rename(keys / "000009.png")
    with pytest.raises(FairyError) as caught:
        KeyFrames.of(EditConfig(keyframes=keys), clip)
    assert "misses 000008.png" in str(caught.value)
    assert "lists 000001.png, 000005.png, 000008.png" in str(caught.value)
    draw(keys / "000008.png", 1)
    with pytest.raises(FairyError, match=r"also holds 000009\.png"):
        KeyFrames.of(EditConfig(keyframes=keys), clip)


def test_a_folder_of_another_clip_is_refused(clip: VideoInfo, keys: Path, tmp_path: Path):
    write_video(make_frames(6, *SIZE), tmp_path / "short.mp4", fps=10)
    with pytest.raises(FairyError, match="lists frame 8, but the clip has 6"):
        KeyFrames.of(EditConfig(keyframes=keys), probe(tmp_path / "short.mp4"))


def test_a_folder_in_which_nothing_was_edited_is_refused(clip: VideoInfo, tmp_path: Path):
    export_anchors(clip.path, tmp_path / "new", EditConfig(shots="off"))
    with pytest.raises(FairyError, match="edit at least one of"):
        KeyFrames.of(EditConfig(keyframes=tmp_path / "new"), clip)


@pytest.mark.parametrize("text", [None, "{}", "[]", '{"anchors": {"x": 1}}', "{"])
def test_a_folder_without_a_list_is_refused(clip: VideoInfo, tmp_path: Path, text: str | None):
    (tmp_path / "folder").mkdir()
    if text is not None:
        (tmp_path / "folder" / "anchors.json").write_text(text)
    with pytest.raises(FairyError, match=r"fairy anchors|edit at least"):
        KeyFrames.of(EditConfig(keyframes=tmp_path / "folder"), clip)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("10=a.png", "frames 0 to 9"),
        ("3=none.png", "no such file"),
        ("3=clip.mp4", "not a picture"),
    ],
)
def test_a_picture_that_is_none_is_refused(clip: VideoInfo, entry: str, words: str, monkeypatch):
    monkeypatch.chdir(clip.path.parent)
    draw(Path("a.png"), 1)
    with pytest.raises(FairyError, match=words):
        KeyFrames.of(EditConfig(keyframe=(entry,)), clip)


@pytest.mark.parametrize("entry", ["a.png", "=a.png", "3=", "x=a.png", "-1=a.png"])
def test_an_entry_of_another_form_is_refused(entry: str):
    with pytest.raises(FairyError, match=r"as in 40=a\.png"):
        named_pictures((entry,))


def test_a_frame_that_is_named_twice_is_refused():
    with pytest.raises(FairyError, match="given twice"):
        named_pictures(("3=a.png", "3=b.png"))


def test_the_list_names_the_clip(keys: Path):
    document = json.loads((keys / "anchors.json").read_text())
    assert (document["clip"], document["num_frames"]) == ("clip.mp4", 10)


def test_a_folder_that_holds_something_is_left_alone(clip: VideoInfo, keys: Path):
    before = (keys / "000005.png").read_bytes()
    with pytest.raises(FairyError, match="new or empty"):
        export_anchors(clip.path, keys)
    assert (keys / "000005.png").read_bytes() == before
