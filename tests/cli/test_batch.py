"""`fairy batch`: a line for each job, options for all of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairy.cli.app import app
from tests.cli.conftest import NUM_FRAMES, assert_refused


def test_batch_prints_a_line_per_job_and_reports_failures(clip: Path, model: Path):
    jobs, folder = clip.with_name("jobs.csv"), clip.parent
    jobs.write_text(
        "input,instruction,output,steps\n"
        f"{folder / 'gone.mp4'},make it snow,{folder / 'a.mp4'},\n"
        f"{clip},make it snow,{folder / 'b.mp4'},1\n"
    )
    result = CliRunner().invoke(app, ["batch", str(jobs), "--model", str(model)])
    assert result.exit_code == 3
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert (first["line"], first["state"]) == (2, "failed")
    assert "no such file" in first["error"]
    assert (second["line"], second["state"], second["num_frames"]) == (3, "done", NUM_FRAMES)
    assert result.stderr == "fairy: 1 of 2 jobs failed: see their lines above\n"


def test_status_of_a_list_by_its_own_name(clip: Path):
    jobs = clip.with_name("jobs.csv")
    jobs.write_text("input,instruction,output\nnone.mp4,make it snow,a.mp4\n")
    ran = CliRunner().invoke(app, ["batch", str(jobs), "--cluster", "shared"])
    assert ran.exit_code == 3
    assert f"1 of 1 jobs failed: `fairy batch status {jobs}.fairy` shows why" in ran.stderr
    for name in (jobs, f"{jobs}.fairy"):
        status = CliRunner().invoke(app, ["batch", "status", str(name)])
        assert status.exit_code == 0, status.output
        assert "failed: line 2: none.mp4: " in status.output


def test_a_missing_list_of_jobs(tmp_path: Path):
    result = CliRunner().invoke(app, ["batch", str(tmp_path / "jobs.csv")])
    assert_refused(result, "jobs.csv: cannot be read: No such file", tmp_path, set())


def test_options_are_for_the_lines_that_do_not_set_them(clip: Path, model: Path):
    jobs, report = clip.with_name("jobs.csv"), clip.with_name("report.json")
    jobs.write_text(
        "input;instruction;output;report;seed\n"
        f"{clip};make it snow;{clip.with_name('a.mp4')};{report};8.0\n"
    )
    options = ["--model", model, "--steps", "1", "--seed", "3", "--crf", "30"]
    result = CliRunner().invoke(app, [str(word) for word in ["batch", jobs, *options]])
    assert result.exit_code == 0, result.output
    settings = json.loads(report.read_text())["settings"]
    assert (settings["num_inference_steps"], settings["seed"], settings["crf"]) == (1, 8, 30)


def test_ray_that_is_not_installed(clip: Path, monkeypatch: pytest.MonkeyPatch):
    # As Python does for a module that is not there
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "fairy.batch.on_ray", raising=False)
    jobs = clip.with_name("jobs.csv")
    jobs.write_text(f"input,instruction,output\n{clip},make it snow,a.mp4\n")
    result = CliRunner().invoke(app, ["batch", str(jobs), "--cluster", "ray"])
    assert (result.exit_code, result.stderr) == (
        2, "fairy: --cluster ray needs the package ray: pip install 'fairy-video[cluster]'\n",
    )  # fmt: skip


def test_a_ray_cluster_that_is_not_there(clip: Path, monkeypatch: pytest.MonkeyPatch):
    ray = pytest.importorskip("ray")

    def none(*args: object, **options: object) -> None:
        # What Ray says if it finds none on this machine, where another test may have started one
        raise ConnectionError("Could not find any running Ray instance.\nPlease specify one.")

    monkeypatch.setattr(ray, "init", none)
    jobs = clip.with_name("jobs.csv")
    jobs.write_text(f"input,instruction,output\n{clip},make it snow,a.mp4\n")
    command = ["batch", str(jobs), "--cluster", "ray", "--address", "auto"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert result.stderr.startswith("fairy: the Ray cluster auto cannot be reached: ")
    assert result.stderr.count("\n") == 1
