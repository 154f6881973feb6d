"""Each stretch of a schedule is edited as a clip of its own with that instruction."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import SettingsError
from fairy.jobs.edit import edit_video
from fairy.media.read import read_video
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

CONFIG = EditConfig(
    size=32, num_inference_steps=1, seed=4, frame_batch_size=4, num_anchors=1, shots="off",
    codec="ffv1", pix_fmt="bgr0", enlarge="bicubic",
)  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_video(make_frames(9, 24, 32), tmp_path / "clip.mp4", fps=10)
    return tmp_path / "clip.mp4"


def scheduled(
    source: Path, pipe: FairyPipeline, entries: dict, out: str = "out.mkv", **settings: object
):
    source.with_name("s.json").write_text(json.dumps(entries))
    config = replace(CONFIG, schedule=source.with_name("s.json"), **settings)
    report = edit_video(source, "snow", source.with_name(out), config, pipeline=pipe)
    return read_video(source.with_name(out)), report


def test_each_stretch_is_edited_alone_with_its_instruction(source: Path, pipe: FairyPipeline):
    entries = {"3": {"text": "rain", "strength": 0.4}, "0.7s": ""}
    result, report = scheduled(source, pipe, entries)
    frames = read_video(source)
    settings = {"generator": 4, "num_inference_steps": 1, "num_anchors": 1}
    assert np.array_equal(result[:3], pipe(frames[:3], "snow", **settings).frames)
    for index, alone in enumerate(edit_alone(source, pipe, frames[3:7], strength=0.4)):
        assert np.array_equal(result[3 + index], alone)
    assert np.array_equal(result[7:], frames[7:])
    assert report.used.anchor_indices == (1, 5) and report.shots == ((0, 9),)


def edit_alone(source: Path, pipe: FairyPipeline, frames: np.ndarray, strength: float):
    out = source.with_name("alone.mkv")
    config = replace(CONFIG, strength=strength)
    edit_video(frames, "rain", out, config, pipeline=pipe)
    return read_video(out)


def test_another_schedule_does_not_continue_an_edit(source: Path, pipe: FairyPipeline):
    source.with_name("s.json").write_text('{"3": "rain"}')
    config = replace(CONFIG, schedule=source.with_name("s.json"))

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit_video(source, "snow", source.with_name("o.mkv"), config, pipeline=pipe, progress=stop)
    source.with_name("s.json").write_text('{"4": "rain"}')
    with pytest.raises(SettingsError, match="--schedule is another"):
        edit_video(source, "snow", source.with_name("o.mkv"), config, pipeline=pipe)


def test_a_schedule_that_changes_nothing_is_refused(source: Path, pipe: FairyPipeline):
    with pytest.raises(SettingsError, match="nothing would change"):
        scheduled(source, pipe, {"0": ""})


def test_a_blend_goes_from_one_edit_to_the_next(source: Path, pipe: FairyPipeline):
    entries = {"4": "rain"}
    cut, _ = scheduled(source, pipe, entries)
    blended, _ = scheduled(source, pipe, entries, "blended.mkv", blend="3")
    # What the first instruction makes of all frames, with the anchors of its stretch
    config = replace(CONFIG, anchor_indices=(2,))
    edit_video(source, "snow", source.with_name("first.mkv"), config, pipeline=pipe)
    first = read_video(source.with_name("first.mkv")).astype(np.float32)
    for index, share in {4: 0.25, 5: 0.5, 6: 0.75}.items():
        expected = first[index] + share * (cut[index] - first[index])
        assert np.abs(blended[index] - expected).max() <= 1.5, index
        assert np.abs(blended[index].astype(int) - cut[index]).max() > 3
    others = [0, 1, 2, 3, 7, 8]
    assert np.array_equal(blended[others], cut[others])


@pytest.mark.parametrize("entries", [{"4": ""}, {"0": "", "4": "snow"}])
def test_a_blend_with_the_source_fades(source: Path, pipe: FairyPipeline, entries: dict):
    result, _ = scheduled(source, pipe, entries, blend="0.3s")
    frames = read_video(source).astype(int)
    change = np.abs(result - frames).mean(axis=(1, 2, 3))
    if entries["4"]:
        change = change[::-1]
        assert change[-4:].max() == 0
        assert (np.diff(change[2:6]) < 0).all()
    else:
        assert change[7:].max() == 0
        assert (np.diff(change[3:8]) < 0).all()


def test_a_blend_is_cut_by_a_cut(source: Path, pipe: FairyPipeline):
    source.with_name("shots.txt").write_text("0\n4\n")
    shots = str(source.with_name("shots.txt"))
    cut, _ = scheduled(source, pipe, {"4": "rain"}, shots=shots)
    blended, _ = scheduled(source, pipe, {"4": "rain"}, "blended.mkv", shots=shots, blend="3")
    assert np.array_equal(cut, blended)


@pytest.mark.parametrize(
    ("blend", "words"), [("6", "holds for 5: use a shorter"), ("soon", "give frames")]
)
def test_a_blend_that_does_not_fit_is_refused(source, pipe: FairyPipeline, blend: str, words: str):
    with pytest.raises(SettingsError, match=words):
        scheduled(source, pipe, {"4": "rain"}, blend=blend)
    assert not source.with_name("out.mkv").exists()


def test_a_blend_needs_a_schedule():
    with pytest.raises(SettingsError, match="give more with --schedule"):
        EditConfig(blend="3")
