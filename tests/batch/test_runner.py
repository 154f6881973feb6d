"""Many jobs: one model, each job on its own, only what is missing, shared clips decoded once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fairy.batch.runner
import fairy.jobs.segment
from fairy.batch.answers import JobResult
from fairy.batch.runner import run_batch
from fairy.editors.ip2p.pipeline import FairyPipeline
from fairy.jobs.edit import edit_video, run_edit
from fairy.jobs.plan import EditRequest
from fairy.jobs.report import EditReport
from fairy.media.info import Frame
from fairy.media.read import read_frames, read_video
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames

CONFIG = EditConfig(size=32, num_inference_steps=1, seed=4, frame_batch_size=2, shots="off")


@pytest.fixture
def num_loads(pipe: FairyPipeline, monkeypatch: pytest.MonkeyPatch) -> list[EditConfig]:
    """The settings of every load of a model from here on."""
    loads: list[EditConfig] = []

    def load(config: EditConfig) -> FairyPipeline:
        loads.append(config)
        return pipe

    monkeypatch.setattr(fairy.batch.runner, "load_editor", load)
    return loads


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with two clips."""
    write_video(make_frames(5, 48, 64), tmp_path / "a.mp4", fps=10)
    write_video(make_frames(4, 48, 64, seed=1), tmp_path / "b.mp4", fps=10)
    return tmp_path


def run(folder: Path, *jobs: tuple[str, str, str], **options: object) -> list[JobResult]:
    lines = [
        {"input": str(folder / a), "instruction": b, "output": str(folder / c), **options}
        for a, b, c in jobs
    ]
    (folder / "jobs.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return run_batch(folder / "jobs.jsonl", CONFIG)


def states(results: list[JobResult]) -> dict[int, str]:
    return {result.line: result.state for result in results}


def test_all_jobs_are_done_with_one_load(clips: Path, num_loads: list[EditConfig]):
    results = run(clips, ("a.mp4", "snow", "1"), ("b.mp4", "night", "2"))
    assert states(results) == {1: "done", 2: "done"}
    assert [result.num_frames for result in results] == [5, 4]
    assert len(num_loads) == 1


def test_a_failed_job_stops_no_other(clips: Path, num_loads: list[EditConfig]):
    (clips / "broken.mp4").write_text("no video")
    results = run(
        clips, ("gone.mp4", "snow", "1"), ("broken.mp4", "snow", "2"), ("b.mp4", "snow", "3")
    )
    assert states(results) == {1: "failed", 2: "failed", 3: "done"}
    assert "no such file" in str(results[0].error)
    assert "not a video" in str(results[1].error)


def test_a_bug_in_one_job_stops_no_other(
    clips: Path, num_loads: list[EditConfig], monkeypatch: pytest.MonkeyPatch
):
    def broken(request: EditRequest, **options: object) -> EditReport:
        if request.source.name == "a.mp4":
            raise RuntimeError("out of luck")
        return run_edit(request, **options)

    monkeypatch.setattr(fairy.batch.runner, "run_edit", broken)
    results = run(clips, ("a.mp4", "snow", "1"), ("b.mp4", "snow", "2"))
    assert states(results) == {1: "failed", 2: "done"}
    assert results[0].error == "RuntimeError: out of luck"


def test_again_it_does_only_what_is_missing(clips: Path, num_loads: list[EditConfig]):
    run(clips, ("a.mp4", "snow", "1"))
    before = (clips / "1").stat().st_mtime_ns
    assert states(run(clips, ("a.mp4", "snow", "1"), ("b.mp4", "snow", "2"))) == {
        1: "kept",
        2: "done",
    }
    assert (clips / "1").stat().st_mtime_ns == before


def test_a_folder_that_is_there_is_no_result(clips: Path, num_loads: list[EditConfig]):
    for name in ("empty", "of a person"):
        (clips / name).mkdir()
    (clips / "of a person" / "notes.txt").write_text("mine")
    jobs = [("a.mp4", "snow", name) for name in ("empty", "of a person")]
    results = run(clips, *jobs)
    assert states(results) == {1: "done", 2: "failed"}
    assert "Fairy did not write, such as notes.txt" in str(results[1].error)
    assert states(run(clips, *jobs)) == {1: "kept", 2: "failed"}


def test_when_nothing_is_missing_no_model_is_loaded(clips: Path, num_loads: list[EditConfig]):
    (clips / "1.mp4").touch()
    assert states(run(clips, ("a.mp4", "snow", "1.mp4"))) == {1: "kept"}
    assert num_loads == []


def test_two_jobs_for_one_output_are_one_too_many(clips: Path, num_loads: list[EditConfig]):
    results = run(clips, ("a.mp4", "snow", "1"), ("b.mp4", "snow", "1"))
    assert states(results) == {1: "done", 2: "failed"}
    assert "line 1 writes it" in str(next(r.error for r in results if r.line == 2))


def test_a_clip_that_would_replace_itself_is_no_job_done(clips: Path, num_loads: list[EditConfig]):
    (result,) = run(clips, ("a.mp4", "make it snow", "a.mp4"))
    assert result.state == "failed"
    assert "would replace the clip to edit" in str(result.error)


def test_several_instructions_share_decoding_and_give_what_each_gives_alone(
    clips: Path,
    num_loads: list[EditConfig],
    pipe: FairyPipeline,
    monkeypatch: pytest.MonkeyPatch,
):
    # It looks at the source's pictures
    config = replace(CONFIG, enlarge="guided")
    for name in ("snow", "night"):
        edit_video(clips / "a.mp4", name, clips / f"{name} alone", config, pipeline=pipe)

    def not_again(*args: object, **options: object) -> object:
        raise AssertionError("the clip was decoded for one instruction alone")

    monkeypatch.setattr(fairy.jobs.segment, "read_frames", not_again)
    monkeypatch.setattr(fairy.jobs.segment, "frames_at", not_again)
    jobs = (("a.mp4", "snow", "snow"), ("a.mp4", "night", "night"))
    results = run(clips, *jobs, enlarge="guided")
    assert states(results) == {1: "done", 2: "done"}
    for name in ("snow", "night"):
        shared = read_video(clips / name).astype(int)
        assert np.abs(shared - read_video(clips / f"{name} alone")).max() <= 1


def test_pictures_that_are_too_many_are_decoded_again(
    clips: Path, num_loads: list[EditConfig], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fairy.batch.runner, "PICTURE_BYTES", 1)
    num_decoded = 0

    def counted(*args: Any, **options: Any) -> Iterator[Frame]:
        nonlocal num_decoded
        num_decoded += 1
        return read_frames(*args, **options)

    monkeypatch.setattr(fairy.jobs.segment, "read_frames", counted)
    jobs = (("a.mp4", "snow", "snow"), ("a.mp4", "night", "night"))
    assert states(run(clips, *jobs, enlarge="guided")) == {1: "done", 2: "done"}
    assert num_decoded == 2


def test_side_by_side_shows_the_source_of_a_shared_clip(clips: Path, num_loads: list[EditConfig]):
    table = "input,instruction,output,compare\n" + "".join(
        f"{clips / 'a.mp4'},{words},{clips / words},{clips / words}.mp4\n"
        for words in ("snow", "night")
    )
    (clips / "jobs.csv").write_text(table)
    results = run_batch(clips / "jobs.csv", CONFIG)
    assert states(results) == {2: "done", 3: "done"}
    # Within a white margin of 8 pixels
    left = read_video(clips / "night.mp4")[:, -56:-8, 8:72].astype(int)
    assert np.abs(left - read_video(clips / "a.mp4")).mean() < 10


def test_a_name_that_is_too_long_or_none_stops_no_other_job(clips: Path, num_loads: list[object]):
    (clips / "circle").symlink_to(clips / "circle")
    results = run(
        clips,
        ("a.mp4", "snow", "x" * 300 + ".mp4"),
        ("y" * 300 + ".mp4", "snow", "1"),
        ("a.mp4", "snow", "a\0b.mp4"),
        ("circle", "snow", "2"),
        ("b.mp4", "snow", "3"),
    )
    assert states(results) == dict.fromkeys((1, 2, 3, 4), "failed") | {5: "done"}
    errors = {result.line: str(result.error) for result in results}
    assert "File name too long" in errors[1] and "File name too long" in errors[2]
    assert "not a name of a file" in errors[3]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("long.csv", {2: "failed", 3: "done"}), ("pandas.csv", {2: "done", 3: "done"})],
)
def test_lists_that_once_failed(
    failing: Callable[[str], Path],
    num_loads: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    expected: dict[int, str],
):
    jobs = failing(name)
    monkeypatch.chdir(tmp_path)
    write_video(make_frames(2, 48, 64), tmp_path / "base.mp4", fps=10)
    assert states(run_batch(jobs, CONFIG)) == expected


def test_a_chain_of_jobs_is_refused(clips: Path, num_loads: list[object]):
    results = run(clips, ("a.mp4", "snow", "1.mp4"), ("1.mp4", "night", "2.mp4"))
    assert states(results) == {1: "failed", 2: "failed"}
    assert "put them into two lists" in str(results[0].error)
