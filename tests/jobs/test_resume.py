"""An edit that is stopped goes on where it was, and the result is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fairy.jobs.plan
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.errors import JobInterrupted, MediaError, ModelError, SettingsError
from fairy.jobs.edit import edit_video
from fairy.jobs.report import EditReport
from fairy.media.read import read_video
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

NUM_FRAMES = 11
CONFIG = EditConfig(size=32, num_inference_steps=2, seed=4, frame_batch_size=2, shots="off")

Edit = Callable[..., EditReport]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_video(make_frames(NUM_FRAMES, 48, 64), path, fps=10)
    return path


@pytest.fixture
def edit(source: Path, pipe: FairyPipeline) -> Edit:
    def run(out: str, *, stop_after: int | None = None, **options: object) -> EditReport:
        def stop(done: int, total: int) -> None:
            if done == stop_after:
                raise KeyboardInterrupt

        config = options.pop("config", CONFIG)
        return edit_video(
            source, "snow", source.with_name(out), config, pipeline=pipe, progress=stop, **options
        )

    return run


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairy.jobs.plan, "SEGMENT_FRAMES", 4)


def assert_same_pictures(a: Path, b: Path) -> None:
    """Equal but for the last bit: how a matrix is summed up can depend on where it lies.

    A bit may move a level, and a level what an encoder chooses; another frame differs by far more.
    """
    first, second = read_video(a).astype(int), read_video(b).astype(int)
    assert first.shape == second.shape
    assert np.abs(first - second).mean((1, 2, 3)).max() <= 0.5


def test_stopped_again_and_again_the_pixels_are_those_of_one_run(edit: Edit, tmp_path: Path):
    edit("whole")
    for stop_after in (1, 5, 8, 10):
        with pytest.raises(JobInterrupted):
            edit("parts", stop_after=stop_after)
    assert edit("parts").num_frames_kept >= 10
    assert_same_pictures(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(
    "stop_after", [4, *(pytest.param(one, marks=pytest.mark.slow) for one in (3, 9, NUM_FRAMES))]
)
def test_a_video_in_segments_is_the_one_of_an_undisturbed_run(
    edit: Edit, tmp_path: Path, stop_after: int
):
    edit("whole.mp4", compare=tmp_path / "whole_side.mp4")
    with pytest.raises(JobInterrupted):
        edit("parts.mp4", stop_after=stop_after, compare=tmp_path / "parts_side.mp4")
    edit("parts.mp4", compare=tmp_path / "parts_side.mp4")
    assert_same_pictures(tmp_path / "parts.mp4", tmp_path / "whole.mp4")
    assert_same_pictures(tmp_path / "parts_side.mp4", tmp_path / "whole_side.mp4")


def test_frames_that_are_done_are_not_edited_again(edit: Edit, tmp_path: Path):
    with pytest.raises(JobInterrupted):
        edit("out.mp4", stop_after=6)
    report = edit("out.mp4")
    assert (report.num_frames_kept, report.num_frames_out) == (6, NUM_FRAMES)


def test_when_all_is_done_only_the_outputs_are_left(edit: Edit, tmp_path: Path):
    with pytest.raises(JobInterrupted):
        edit("out.mp4", stop_after=6)
    edit("out.mp4", report=tmp_path / "report.json")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"clip.mp4", "out.mp4", "report.json"}


def test_an_interruption_says_what_is_kept_and_how_to_continue(edit: Edit):
    words = r"interrupted: 6 of 11 frames are done and kept in .*out\.mp4\.fairy: run the same"
    with pytest.raises(JobInterrupted, match=words):
        edit("out.mp4", stop_after=6)


def test_a_changed_setting_is_refused_and_restart_starts_over(edit: Edit, tmp_path: Path):
    with pytest.raises(JobInterrupted):
        edit("out.mp4", stop_after=6)
    changed = replace(CONFIG, seed=5)
    with pytest.raises(SettingsError, match=r"6 frames are done .*seed was 4, is 5.*--restart"):
        edit("out.mp4", config=changed)
    assert (tmp_path / "out.mp4.fairy").is_dir()
    assert edit("out.mp4", config=changed, restart=True).num_frames_kept == 0


def test_restart_deletes_nothing_before_the_model_is_loaded(
    edit: Edit, source: Path, tmp_path: Path
):
    with pytest.raises(JobInterrupted):
        edit("out.mp4", stop_after=6)
    with pytest.raises(ModelError):
        edit_video(
            source, "snow", tmp_path / "out.mp4", replace(CONFIG, model="gone"), restart=True
        )
    assert any((tmp_path / "out.mp4.fairy").glob("frames-*.npy"))


def test_a_changed_clip_is_refused(edit: Edit, source: Path):
    with pytest.raises(JobInterrupted):
        edit("out.mp4", stop_after=6)
    write_video(make_frames(NUM_FRAMES, 48, 64, seed=1), source, fps=10, overwrite=True)
    with pytest.raises(SettingsError, match="the clip's content has changed"):
        edit("out.mp4")


def test_another_batch_size_goes_on(edit: Edit, tmp_path: Path):
    with pytest.raises(JobInterrupted):
        edit("parts", stop_after=6)
    edit("parts", config=replace(CONFIG, frame_batch_size=3))
    edit("whole")
    assert_same_pictures(tmp_path / "parts", tmp_path / "whole")


def test_stopped_after_the_result_stood_there_it_is_taken_for_the_jobs_own(
    edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def stopped(report: EditReport, path: Path, when_whole: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EditReport, "write", stopped)
        with pytest.raises(JobInterrupted):
            edit("out.mp4", report=tmp_path / "report.json")
    assert (tmp_path / "out.mp4").exists()
    edit("out.mp4", report=tmp_path / "report.json")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"clip.mp4", "out.mp4", "report.json"}


@pytest.fixture
def small_disk() -> Callable[[], AbstractContextManager[None]]:
    """Return what makes the disk as good as full for a block.

    There is room for the manifest, but not for two frames of 24x32 pixels.
    """
    resource = pytest.importorskip("resource", reason="limits the size of files")

    @contextmanager
    def limited() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


def test_a_full_disk_is_one_line_and_what_is_done_is_kept(edit: Edit, small_disk):
    with pytest.raises(JobInterrupted):
        edit("out.mp4", stop_after=6)
    with small_disk(), pytest.raises(MediaError) as failure:
        edit("out.mp4")
    assert "out.mp4: cannot be written: File too large; 6 of 11 frames" in str(failure.value)
    assert "run the same command to continue" in str(failure.value)
    assert "\n" not in str(failure.value)
    assert edit("out.mp4").num_frames_kept == 6


def test_a_disk_full_from_the_start_says_what_to_do(edit: Edit, small_disk):
    with small_disk(), pytest.raises(MediaError, match="cannot be written: File too large; free s"):
        edit("out.mp4")
