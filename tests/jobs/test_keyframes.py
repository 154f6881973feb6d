"""Edits with frames that a person edited: these come out as they are, others take from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import SettingsError
from fairy.jobs.edit import edit_video
from fairy.jobs.export_anchors import export_anchors
from fairy.media.read import read_video
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

SIZE = (48, 64)
EXACT = EditConfig(
    size=32, num_inference_steps=2, seed=4, frame_batch_size=4, num_anchors=2, shots="off",
    codec="ffv1", pix_fmt="bgr0", enlarge="bicubic",
)  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(make_frames(9, *SIZE), path, fps=10)
    return path


def picture(path: Path, seed: int) -> np.ndarray:
    image = make_frames(1, *SIZE, seed=seed)[0]
    Image.fromarray(image).save(path)
    return image


def test_key_frames_come_out_exactly_and_others_take_from_them(source: Path, pipe: FairyPipeline):
    path, results = source.with_name("a.png"), []
    config = replace(EXACT, keyframe=(f"4={path}",))
    for seed in (8, 9):
        by_hand = picture(path, seed)
        out = source.with_name(f"{seed}.mkv")
        report = edit_video(source, "snow", out, config, pipeline=pipe)
        results.append(read_video(out))
        assert np.array_equal(results[-1][4], by_hand)
    # One more anchor there
    assert report.used.anchor_indices == (2, 4, 6)
    a, b = results
    assert not np.array_equal(a[[0, 1, 2, 3, 5, 6, 7, 8]], b[[0, 1, 2, 3, 5, 6, 7, 8]])


def test_a_folder_mixes_edited_pictures_and_the_models_anchors(source: Path, pipe: FairyPipeline):
    keys = source.with_name("keys")
    pictures = export_anchors(source, keys, EXACT)
    by_hand = picture(pictures[6], 8)
    config = replace(EXACT, keyframes=keys, num_anchors=1)
    out = source.with_name("out.mkv")
    report = edit_video(source, "snow", out, config, pipeline=pipe)
    assert report.used.anchor_indices == (2, 6)
    result, before = read_video(out), read_video(source)
    assert np.array_equal(result[6], by_hand) and not np.array_equal(result[2], before[2])


def test_each_shot_has_its_own_key_frames(source: Path, pipe: FairyPipeline):
    source.with_name("shots.txt").write_text("5")
    by_hand = picture(source.with_name("a.png"), 8)
    config = replace(
        EXACT, shots=str(source.with_name("shots.txt")), num_anchors=1,
        keyframe=(f"7={source.with_name('a.png')}",),
    )  # fmt: skip
    plain, out = source.with_name("plain.mkv"), source.with_name("out.mkv")
    report = edit_video(source, "snow", out, config, pipeline=pipe)
    edit_video(source, "snow", plain, replace(config, keyframe=()), pipeline=pipe)
    assert report.used.anchor_indices == (2, 7)
    assert np.array_equal(read_video(out)[7], by_hand)
    assert np.array_equal(read_video(out)[:5], read_video(plain)[:5])


def test_a_mask_holds_for_key_frames_too(source: Path, pipe: FairyPipeline):
    by_hand = picture(source.with_name("a.png"), 8)
    config = replace(EXACT, keyframe=(f"4={source.with_name('a.png')}",), region=(0, 0, 64, 20))
    edit_video(source, "snow", source.with_name("out.mkv"), config, pipeline=pipe)
    result, before = read_video(source.with_name("out.mkv")), read_video(source)
    assert np.array_equal(result[4, :20], by_hand[:20])
    assert np.array_equal(result[:, 20:], before[:, 20:])


def test_another_picture_does_not_continue_an_edit(source: Path, pipe: FairyPipeline):
    picture(source.with_name("a.png"), 8)
    config, out = (
        replace(EXACT, keyframe=(f"4={source.with_name('a.png')}",)),
        source.with_name("o.mkv"),
    )

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit_video(source, "snow", out, config, pipeline=pipe, progress=stop)
    picture(source.with_name("a.png"), 9)
    with pytest.raises(SettingsError, match="--keyframe 4 is another"):
        edit_video(source, "snow", out, config, pipeline=pipe)
