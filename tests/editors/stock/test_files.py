"""From file to file with the folder of a stock pipeline: audio kept, stopped once and resumed."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

import fairy.jobs.plan
from examples.tiny_editor import make_tiny_editor
from fairy.batch.runner import run_batch
from fairy.errors import JobInterrupted
from fairy.jobs.edit import edit_video
from fairy.jobs.preview import preview_video
from fairy.media.read import read_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

NUM_FRAMES = 5
# A transformer and a UNet; the others differ in what tests/editors/stock/test_invariants.py tests
FAMILIES = [
    "klein",
    "sdxl",
    *(pytest.param(one, marks=pytest.mark.slow) for one in ("kontext", "qwen-plus")),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A clip of 64x64 with a tone."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=10, width=64, height=64, pix_fmt="yuv420p")
        audio = file.add_stream("aac", rate=48000, layout="mono")
        for image in make_frames(NUM_FRAMES, 64, 64):
            file.mux(video.encode(av.VideoFrame.from_ndarray(image)))
        tone = np.sin(np.arange(24000) * 0.05).astype(np.float32)[None]
        sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        sound.sample_rate = 48000
        file.mux(audio.encode(sound))
        for stream in (video, audio):
            file.mux(stream.encode(None))
    return path


def audio_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(file.streams.audio[0]) if packet.size]


def config(family: str, folder: Path, **settings) -> EditConfig:
    make_tiny_editor(family).save_pretrained(folder)
    given = {"size": 64, "num_inference_steps": 1, "num_anchors": 2, "seed": 3, "shots": "off"}
    return EditConfig(**{**given, "model": str(folder), "device": "cpu", **settings})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_clip_is_edited_stopped_and_resumed(family, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(fairy.jobs.plan, "SEGMENT_FRAMES", 2)
    settings = config(family, tmp_path / "model", frame_batch_size=1)
    out = tmp_path / "out.mp4"

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(JobInterrupted, match="the same command"):
        edit_video(clip, "make it snow", out, settings, progress=stop)
    report = edit_video(clip, "make it snow", out, settings)
    assert report.num_frames_kept > 0
    assert read_video(out).shape == (NUM_FRAMES, 64, 64, 3)
    assert audio_of(out) == audio_of(clip)
    at_once = tmp_path / "whole.mp4"
    edit_video(clip, "make it snow", at_once, settings)
    assert np.array_equal(read_video(out), read_video(at_once))


@pytest.mark.parametrize("family", FAMILIES)
def test_anchors_change_frames_by_more_than_a_level(family, clip, tmp_path):
    results = []
    for strength in (0, 1):
        settings = config(
            family, tmp_path / "model", anchor_strength=strength, num_inference_steps=2
        )
        edit_video(clip, "make it snow", out := tmp_path / f"out{strength}", settings)
        results.append(read_video(out).astype(int))
    assert np.abs(results[0] - results[1]).mean() >= 1


def test_another_model_is_noticed(clip, tmp_path):
    settings = config("klein", tmp_path / "model")
    out = tmp_path / "out.mp4"

    def stop(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(JobInterrupted):
        edit_video(clip, "make it snow", out, settings, progress=stop)
    make_tiny_editor("klein", seed=1).save_pretrained(tmp_path / "model")
    with pytest.raises(Exception, match="the model is another one"):
        edit_video(clip, "make it snow", out, settings)


@pytest.mark.parametrize("cache", ["whole", "step"])
def test_a_preview_leaves_its_anchors_to_the_edit(cache, clip, tmp_path):
    settings = config("klein", tmp_path / "model", anchor_cache=cache)
    out = tmp_path / "out.mp4"
    sheet = preview_video(clip, "make it snow", out, settings, num_frames=2)
    assert sheet.exists()
    edit_video(clip, "make it snow", out, settings)
    fresh = tmp_path / "fresh.mp4"
    edit_video(clip, "make it snow", fresh, settings)
    assert np.array_equal(read_video(out), read_video(fresh))


def test_several_instructions_share_a_clip(clip, tmp_path):
    settings = config("klein", tmp_path / "model")
    jobs = tmp_path / "jobs.csv"
    rows = [f"{clip},{word},{tmp_path / word}.mp4" for word in ("snow", "night")]
    jobs.write_text("\n".join(["input,instruction,output", *rows]))
    run_batch(jobs, settings)
    alone = tmp_path / "alone.mp4"
    edit_video(clip, "night", alone, settings)
    assert np.array_equal(read_video(tmp_path / "night.mp4"), read_video(alone))
