"""--upscale and --interpolate in a whole edit: frames, times, sound, cuts, resume, workers."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import fairy.jobs.plan
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import FairyError, JobInterrupted, SettingsError
from fairy.interrupt import Cancel
from fairy.jobs.edit import edit_video
from fairy.media.read import probe, read_frames, read_video
from fairy.media.write import write_video
from fairy.settings import EditConfig, MediaConfig
from tests.super_resolution import save_model
from tests.tiny import make_frames

TINY = EditConfig(size=32, num_inference_steps=1, num_anchors=1, frame_batch_size=2, seed=4)
BOTH = replace(TINY, upscale="2x", interpolate=2)
SIZE = (48, 64)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mkv"
    write_video(make_frames(6, *SIZE), path, fps=10, media=MediaConfig(codec="ffv1"))
    return path


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairy.jobs.plan, "SEGMENT_FRAMES", 2)


def edit(source: Path, out: Path, config: EditConfig, pipe: FairyPipeline, **options) -> Path:
    edit_video(source, "make it snow", out, config, pipeline=pipe, **options)
    return out


def times(path: Path) -> list[Fraction]:
    return [frame.time_s for frame in read_frames(path)]


@pytest.mark.parametrize("suffix", [".mp4", ""])
def test_the_result_has_the_factor_in_size_and_frames(
    source: Path, pipe: FairyPipeline, suffix: str
):
    out = edit(source, source.with_name(f"out{suffix}"), BOTH, pipe)
    info = probe(out)
    assert (info.height, info.width, info.num_frames) == (96, 128, 12)
    if suffix:
        assert times(out) == [Fraction(n, 20) for n in range(12)]
        assert info.duration_s == pytest.approx(0.6)


def test_a_model_enlarges_each_finished_frame(source: Path, pipe: FairyPipeline):
    model = save_model(source.with_name("tiny.pth"), scale=2)
    plain = edit(source, source.with_name("plain"), TINY, pipe)
    large = edit(source, source.with_name("large"), replace(TINY, upscale=str(model)), pipe)
    import torch

    from fairy.media.upscale import ModelUpscaler

    upscaler = ModelUpscaler(model, torch.device("cpu"))
    expected = [upscaler(image) for image in read_video(plain)]
    assert np.array_equal(read_video(large), np.stack(expected))


def test_frames_that_are_the_source_s_are_those_of_a_plain_edit(source: Path, pipe: FairyPipeline):
    plain = edit(source, source.with_name("plain"), TINY, pipe)
    double = edit(source, source.with_name("double"), replace(TINY, interpolate=2), pipe)
    assert np.array_equal(read_video(double)[::2], read_video(plain))


def test_uneven_times_are_kept_and_halved(tmp_path: Path, pipe: FairyPipeline):
    source, pts = tmp_path / "vfr.mp4", [0, 40, 100, 130, 200]
    with av.open(str(source), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.height, stream.width, stream.time_base = (*SIZE, Fraction(1, 1000))
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in zip(pts, make_frames(5, *SIZE), strict=True):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = number, Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    found = times(edit(source, tmp_path / "out.mp4", replace(TINY, interpolate=2), pipe))
    assert found[::2] == times(source)
    assert found[1:-1:2] == [(a + b) / 2 for a, b in zip(found[::2], found[2::2], strict=False)]


def test_nothing_is_blended_across_a_cut(source: Path, pipe: FairyPipeline):
    shots = source.with_name("shots.txt")
    shots.write_text("0\n3\n")
    config = replace(TINY, interpolate=2, shots=str(shots))
    frames = read_video(edit(source, source.with_name("out"), config, pipe))
    assert np.array_equal(frames[5], frames[4])
    assert not np.array_equal(frames[3], frames[2])


def test_sound_stays_where_it_was(tmp_path: Path, pipe: FairyPipeline):
    source = tmp_path / "sound.mkv"
    with av.open(str(source), "w") as file:
        video, audio = file.add_stream("ffv1", rate=10), file.add_stream("pcm_s16le", rate=8000)
        video.height, video.width, video.pix_fmt = (*SIZE, "bgr0")
        for image in make_frames(6, *SIZE):
            file.mux(video.encode(av.VideoFrame.from_ndarray(image)))
        samples = np.arange(4800, dtype=np.int16).reshape(1, -1)
        sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        sound.sample_rate = 8000
        file.mux(audio.encode(sound))
    out = edit(source, tmp_path / "out.mkv", BOTH, pipe)

    def packets(path: Path) -> list[tuple[Fraction, bytes]]:
        with av.open(str(path)) as file:
            read = file.demux(audio=0)
            return [(one.pts * one.time_base, bytes(one)) for one in read if one.size]

    assert packets(out) == packets(source)


@pytest.mark.parametrize("change", [{"upscale": "2x"}, {"interpolate": 2}])
@pytest.mark.usefixtures("short_segments")
def test_an_interrupted_edit_ends_as_one_in_one_go(source: Path, pipe: FairyPipeline, change: dict):
    config, cancel = replace(TINY, **change), Cancel()
    whole = edit(source, source.with_name("whole.mkv"), config, pipe)

    def stop(done: int, total: int) -> None:
        if done >= 3:
            cancel.set()

    out = source.with_name("out.mkv")
    with pytest.raises(JobInterrupted):
        edit(source, out, config, pipe, progress=stop, cancel=cancel)
    assert not out.exists()
    edit(source, out, config, pipe)
    assert np.array_equal(read_video(out), read_video(whole))
    assert times(out) == times(whole)


@pytest.mark.usefixtures("short_segments")
def test_another_model_under_the_same_name_is_not_mixed_in(source: Path, pipe: FairyPipeline):
    model, cancel = save_model(source.with_name("tiny.pth")), Cancel()
    config, out = replace(TINY, upscale=str(model)), source.with_name("out.mkv")
    with pytest.raises(JobInterrupted):
        edit(
            source, out, config, pipe, cancel=cancel, progress=lambda done, _: done and cancel.set()
        )
    save_model(model, seed=1)
    with pytest.raises(FairyError, match="--upscale is another"):
        edit(source, out, config, pipe)


def test_the_record_says_what_was_added(source: Path, pipe: FairyPipeline):
    out = edit(source, source.with_name("out.mkv"), BOTH, pipe, report=source.with_name("r.json"))
    with av.open(str(out)) as file:
        made = json.loads(file.metadata["COMMENT"])
    assert (made["upscale"], made["interpolate"]) == ("2x", 2)
    assert json.loads(source.with_name("r.json").read_text())["num_frames_out"] == 12


def test_a_side_by_side_clip_keeps_the_source_s_rate(source: Path, pipe: FairyPipeline):
    compare = source.with_name("compare.mkv")
    edit(source, source.with_name("out.mkv"), BOTH, pipe, compare=compare)
    assert times(compare) == times(source)


def test_one_frame_is_refused_before_the_model_is_asked(tmp_path: Path):
    write_video(make_frames(1, *SIZE), tmp_path / "one.mkv", fps=10)
    with pytest.raises(SettingsError, match="one frame only"):
        edit_video(tmp_path / "one.mkv", "snow", tmp_path / "out.mp4", EditConfig(interpolate=2))


@pytest.mark.parametrize("change", [{"upscale": "5x"}, {"interpolate": 3}])
def test_other_factors_are_refused_in_one_line(source: Path, change: dict):
    with pytest.raises(SettingsError):
        edit_video(source, "snow", source.with_name("out.mp4"), EditConfig(**change))
    assert not source.with_name("out.mp4").exists()
