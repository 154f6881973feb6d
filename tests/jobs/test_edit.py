"""One clip edited end to end with a tiny random model: what any model must keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import fairy.jobs.segment
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import MediaError
from fairy.interrupt import Cancel, Stage
from fairy.jobs.edit import edit_video, run_edit, with_kept_dtype
from fairy.jobs.plan import EditRequest, plan_edit
from fairy.media.enlarge import enlarge
from fairy.media.info import Frame
from fairy.media.read import probe, read_video
from fairy.media.threads import QUEUE_FRAMES
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import assert_same_frames, make_frames

TINY = EditConfig(size=32, num_inference_steps=2, seed=4, frame_batch_size=2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(make_frames(7, 48, 64), path, fps=10)
    return path


@pytest.mark.parametrize("method", ["guided", "bicubic"])
def test_file_holds_what_the_pipeline_gives_in_memory(
    source: Path, pipe: FairyPipeline, method: str
):
    config = replace(TINY, enlarge=method)
    edit_video(source, "make it snow", source.with_name("out"), config, pipeline=pipe)
    frames = read_video(source)
    expected = pipe(
        frames, "make it snow", num_inference_steps=2, generator=4, height=24, width=32
    ).frames
    larger = [enlarge(f, e, (48, 64), method=method) for f, e in zip(frames, expected, strict=True)]
    assert_same_frames(read_video(source.with_name("out")), np.stack(larger))


def test_every_stage_that_goes_through_the_clip_can_be_stopped(
    source: Path, pipe: FairyPipeline, tmp_path: Path
):
    cancel, checks = Cancel(), dict[str, int]()

    class Stages:
        def __call__(self, done: int, total: int) -> None:
            """Take no note."""

        def stage(self, name: Stage) -> None:
            checks.setdefault(name, cancel.num_checks)

    request = EditRequest.of(source, "make it snow", tmp_path / "out.mp4", TINY)
    run_edit(request, editor=pipe, progress=Stages(), cancel=cancel)
    # The clip has 7 frames: looked at for shots, edited, and joined
    assert checks["anchors"] - checks["reading"] == 7
    assert cancel.num_checks - checks["joining"] == 7


@pytest.mark.parametrize("form", ["arrays", "tensor"])
def test_frames_in_memory_are_edited_as_a_file_of_them(
    tmp_path: Path, pipe: FairyPipeline, form: str
):
    frames = make_frames(5, 48, 64)
    write_video(frames, tmp_path / "clip", fps=10)
    given = frames if form == "arrays" else torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    report = edit_video(given, "make it snow", tmp_path / "a", TINY, fps=12.5, pipeline=pipe)
    edit_video(tmp_path / "clip", "make it snow", tmp_path / "b", TINY, pipeline=pipe)
    assert report.fps == "25/2"
    assert_same_frames(read_video(tmp_path / "a"), read_video(tmp_path / "b"))


def test_a_rate_for_a_file_is_refused(source: Path):
    with pytest.raises(ValueError, match="a file has its own rate"):
        edit_video(source, "make it snow", source.with_name("out.mp4"), fps=25)


def test_a_drawn_seed_is_in_the_report_and_the_manifest(
    source: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fairy.settings.secrets.randbelow", lambda end: 12345)
    config = replace(TINY, seed=None)
    manifest = plan_edit(EditRequest.of(source, "red", source.with_name("a.mp4"), config))
    assert manifest.manifest().settings["seed"] == 12345
    report = edit_video(source, "red", source.with_name("a.mp4"), config, pipeline=pipe)
    assert report.settings.seed == 12345


def test_no_more_than_a_batch_and_two_queues_of_frames_is_held(
    source: Path, pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch
):
    write_video(make_frames(40, 48, 64), source, fps=10, overwrite=True)
    num_read, held = 0, []

    def counted(path: Path, config: EditConfig, *, start: int, stop: int) -> Iterator[Frame]:
        nonlocal num_read
        for frame in read_frames(path, config, start=start, stop=stop):
            num_read += 1
            yield frame

    read_frames = fairy.jobs.segment.read_frames
    monkeypatch.setattr(fairy.jobs.segment, "read_frames", counted)
    edit_video(
        source,
        "make it snow",
        source.with_name("out.mp4"),
        TINY,
        pipeline=pipe,
        progress=lambda done, total: held.append(num_read - done),
    )
    assert num_read == 40
    # Beside the batch: the queue to the edit, and the frame that waits for room in it.
    assert max(held) <= TINY.frame_batch_size + QUEUE_FRAMES + 1


def test_progress_counts_every_frame(source: Path, pipe: FairyPipeline):
    seen: list[tuple[int, int]] = []
    out = source.with_name("out.mp4")
    edit_video(source, "snow", out, TINY, pipeline=pipe, progress=lambda *count: seen.append(count))
    assert seen == [(done, 7) for done in range(8)]


class Stages:
    """A `StagedProgress` that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, done: int, total: int, /) -> None:
        if self.told[-1:] != [str(total)]:
            self.told.append(str(total))

    def stage(self, name: Stage, /) -> None:
        self.told.append(name)


def test_each_finished_frame_is_passed_on_as_it_is_encoded(source: Path, pipe: FairyPipeline):
    seen: list[tuple[int, np.ndarray]] = []
    request = EditRequest.of(
        source, "snow", source.with_name("out.mkv"), replace(TINY, codec="ffv1")
    )
    run_edit(request, editor=pipe, on_frame=lambda index, image: seen.append((index, image.copy())))
    assert [index for index, _ in seen] == list(range(7))
    assert_same_frames(np.stack([image for _, image in seen]), read_video(request.out))


def test_stages_are_reported_in_order(source: Path, pipe: FairyPipeline):
    stages = Stages()
    edit_video(source, "snow", source.with_name("out.mp4"), TINY, pipeline=pipe, progress=stages)
    assert stages.told == ["reading", "7", "anchors", "frames", "7", "joining"]


def test_compiling_is_a_stage_of_the_first_batch(source: Path, pipe: FairyPipeline):
    stages, config = Stages(), replace(TINY, compile=True)
    edit_video(source, "snow", source.with_name("out.mp4"), config, pipeline=pipe, progress=stages)
    assert stages.told[2:] == ["anchors", "compiling", "7", "frames", "7", "joining"]


def test_one_frame_is_a_clip(tmp_path: Path, pipe: FairyPipeline):
    source = tmp_path / "still.mp4"
    write_video(make_frames(1, 48, 64), source, fps=10)
    report = edit_video(source, "snow", tmp_path / "out.mp4", TINY, pipeline=pipe)
    assert report.num_frames_out == 1
    assert report.used.anchor_indices == (0,)


def test_a_folder_of_images_is_a_clip(tmp_path: Path, pipe: FairyPipeline):
    write_video(make_frames(3, 48, 64), tmp_path / "pictures")
    edit_video(tmp_path / "pictures", "snow", tmp_path / "out.mp4", TINY, pipeline=pipe)
    assert probe(tmp_path / "out.mp4").num_frames == 3


def test_the_report_is_the_one_written(source: Path, pipe: FairyPipeline):
    path = source.with_name("report.json")
    out = source.with_name("out.mp4")
    report = edit_video(source, "snow", out, TINY, pipeline=pipe, report=path)
    assert json.loads(path.read_text()) == json.loads(report.to_json())
    assert {"read", "load", "anchors", "edit", "write", "total"} == set(report.seconds)
    stages = sum(seconds for stage, seconds in report.seconds.items() if stage != "total")
    assert stages <= report.seconds["total"] + 1e-3
    assert report.codec_seconds["read"] > 0 and report.codec_seconds["write"] > 0
    assert {"vae_encode", "anchors", "frames", "vae_decode"} == set(report.model_seconds)
    edited = report.seconds["anchors"] + report.seconds["edit"]
    assert 0 < sum(report.model_seconds.values()) <= edited + 1e-3


def test_failure_on_the_way_leaves_no_output(source: Path, pipe: FairyPipeline):
    def fails_late(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit_video(
            source,
            "snow",
            source.with_name("out.mp4"),
            TINY,
            pipeline=pipe,
            compare=source.with_name("side.mp4"),
            report=source.with_name("report.json"),
            progress=fails_late,
        )
    assert {path.name for path in source.parent.iterdir()} == {"clip.mp4", "out.mp4.fairy"}


def test_overwriting_fails_late_keeps_the_old_result(source: Path, pipe: FairyPipeline):
    out = source.with_name("out.mp4")
    out.write_text("mine")

    def fails_late(done: int, total: int) -> None:
        if done == 5:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        edit_video(source, "snow", out, TINY, pipeline=pipe, overwrite=True, progress=fails_late)
    assert out.read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    ["stress/paper_rot90.mp4", "stress/non_zero_start.mp4", "stress/tiny_66x50.mov"],
)
def test_real_clips_keep_times_size_and_audio(
    name: str,
    tmp_path: Path,
    pipe: FairyPipeline,
    clip: Callable[[str], Path],
    frame_times: Callable[[Path], list[Fraction]],
    audio_packets: Callable[[Path], object],
):
    source, out = clip(name), tmp_path / f"out{Path(name).suffix}"
    edit_video(source, "snow", out, EditConfig(size=32, num_inference_steps=1), pipeline=pipe)
    before, after = probe(source), probe(out)
    assert (after.height, after.width) == (before.height, before.width)
    assert after.num_frames == before.num_frames
    assert after.rotation == 0
    assert frame_times(out) == frame_times(source)
    assert audio_packets(out) == audio_packets(source)


@pytest.mark.parametrize(
    ("enlarger", "words"),
    [
        ("guided", ["edited at 32x24, detail of 64x48 kept"]),
        ("lanczos", ["edited at 32x24, detail of 64x48 not kept (--enlarge lanczos)"]),
        ("none", []),
    ],
)
def test_the_size_of_the_edit_is_logged(
    source: Path,
    pipe: FairyPipeline,
    caplog: pytest.LogCaptureFixture,
    enlarger: str,
    words: list[str],
):
    config = replace(TINY, num_inference_steps=1, enlarge=enlarger)
    with caplog.at_level("INFO", logger="fairy.jobs.edit"):
        edit_video(source, "red", source.with_name("out.mp4"), config, pipeline=pipe)
    assert [text for text in caplog.messages if "edited at" in text] == words


def test_an_interrupted_edit_goes_on_in_the_precision_it_began_with():
    earlier = {"editor": {"weights": "0", "device": "cpu", "dtype": "bfloat16"}}
    assert with_kept_dtype(TINY, earlier).dtype == "bfloat16"
    assert with_kept_dtype(replace(TINY, dtype="float32"), earlier).dtype == "float32"
    for nothing in (None, {}, {"editor": None}):
        assert with_kept_dtype(TINY, nothing) == TINY


@pytest.mark.gpu
def test_edit_on_a_gpu_reports_its_memory(source: Path, tmp_path: Path):
    from tests.tiny import save_tiny_pipeline

    config = EditConfig(model=str(save_tiny_pipeline(tmp_path / "model")), size=32, device="cuda")
    report = edit_video(source, "snow", tmp_path / "out.mp4", config)
    assert report.used.device.startswith("cuda")
    assert report.peak_device_memory_bytes is not None
    assert 0 < report.peak_device_memory_bytes < torch.cuda.get_device_properties(0).total_memory


def test_damage_is_counted_once_in_the_report(
    clip: Callable[[str], Path], tmp_path: Path, pipe: FairyPipeline
):
    config = EditConfig(size=16, num_inference_steps=1, keep_size=False, num_anchors=1)
    source = clip("stress/invalid_nalu.mp4")
    report = edit_video(source, "make it snow", tmp_path / "out.mp4", config, pipeline=pipe)
    lost = "1 of 30 pictures cannot be decoded; the last good one is shown instead"
    assert report.notes == (f"{source}: {lost}",)
    assert report.num_frames_out == 30


def test_damage_is_an_error_when_asked(
    clip: Callable[[str], Path], tmp_path: Path, pipe: FairyPipeline
):
    config = EditConfig(size=16, num_inference_steps=1, strict=True)
    with pytest.raises(MediaError, match=r"cannot be decoded: without --strict the last good"):
        edit_video(
            clip("stress/invalid_nalu.mp4"), "snow", tmp_path / "out.mp4", config, pipeline=pipe
        )
    assert not list(tmp_path.iterdir())


def test_two_threads_share_a_pipeline(tmp_path: Path, pipe: FairyPipeline):
    """Each result is what its edit gives alone."""
    jobs = {"a": "make it snow", "b": "make it night"}
    for seed, name in enumerate(jobs):
        write_video(make_frames(3, 32, 48, seed=seed), tmp_path / f"{name}.mkv", fps=10)

    def edit(name: str, into: str) -> np.ndarray:
        out = tmp_path / f"{name}-{into}"
        edit_video(tmp_path / f"{name}.mkv", jobs[name], out, TINY, pipeline=pipe)
        return read_video(out)

    alone = [edit(name, "alone") for name in jobs]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(edit, jobs, ["together"] * 2))
    for one, other in zip(alone, together, strict=True):
        assert_same_frames(one, other)
    assert not np.array_equal(*alone)
