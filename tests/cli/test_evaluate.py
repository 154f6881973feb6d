"""`fairy eval` as people call it: fairy/cli/evaluate.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from examples.tiny_editor import make_tiny_editor
from fairy.cli.app import app
from fairy.cli.evaluate import EvalOptions
from fairy.evaluation.pair import Fit, PairBy
from fairy.evaluation.results import Results, read_results
from fairy.evaluation.suite import SUITES
from fairy.media.write import write_video
from fairy.options import options_of
from tests.evaluation.conftest import make_results
from tests.tiny import make_frames, save_tiny_pipeline

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call `fairy eval` in an empty folder, on a wide terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *given: CliRunner().invoke(app, ["eval", *map(str, given)])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_video(make_frames(6, 32, 48), tmp_path / "source.mp4", fps=10)
    return tmp_path / "source.mp4"


def negative(tmp_path: Path, num_frames: int = 6, fps: int = 10, width: int = 48) -> Path:
    path = tmp_path / "edit.mp4"
    write_video(255 - make_frames(6, 32, 48)[:num_frames, :, :width], path, fps=fps)
    return path


def refused(result: Result, words: str) -> None:
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert result.stderr.startswith("fairy: ")
    assert result.stderr.count("\n") == 1


def test_the_choices_are_those_of_the_library():
    choices = {field.name: field.option.choices for field in options_of(EvalOptions)}
    assert choices["suite"] == tuple(SUITES)
    assert (choices["pair_by"], choices["fit"]) == (get_args(PairBy), get_args(Fit))


def test_an_edit_by_any_tool_gets_a_report_by_one_line(run, source, tmp_path):
    result = run(negative(tmp_path), "--source", source)
    assert result.exit_code == 0, result.output
    assert "Warp error" in result.stdout
    assert "wrote edit-eval.html, edit-eval.json, edit-eval.csv" in result.stdout
    assert read_results(tmp_path / "edit-eval.json").cases[1].scores.values["change"] > 0.1


def test_alignment_is_reported(run, source, tmp_path):
    report = tmp_path / "a" / "b" / "report.html"  # folders that are made
    result = run(negative(tmp_path, num_frames=4), "--source", source, "-o", report)
    assert "source.mp4: its last 2 of 6 frames are left out" in result.stdout
    assert sorted(path.name for path in report.parent.iterdir()) == [
        "report.csv", "report.html", "report.json",
    ]  # fmt: skip


def test_frames_that_cannot_be_paired_are_one_line(run, source, tmp_path):
    refused(run(negative(tmp_path, num_frames=4, fps=3), "--source", source), "--pair-by")
    assert not list(tmp_path.glob("*.html"))


def test_another_shape_is_one_line_until_explained(run, source, tmp_path):
    edited = negative(tmp_path, width=32)
    refused(run(edited, "--source", source), "--fit crop")
    assert run(edited, "--source", source, "--fit", "crop").exit_code == 0


def test_an_unedited_copy_is_called_hardly_edited(run, source, tmp_path):
    write_video(make_frames(6, 32, 48), tmp_path / "copy.mp4", fps=10)
    result = run("copy.mp4", "--source", source, "-o", "r.html")
    assert "hardly edited" in result.stdout
    assert "hardly edited" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_exact_result_is_measured_against(run, source, tmp_path):
    edited = negative(tmp_path)
    assert "PSNR to the target" not in run(edited, "--source", source).stdout.split("not meas")[0]
    target = tmp_path / "target.mp4"
    target.write_bytes(edited.read_bytes())
    result = run(edited, "--source", source, "--target", target, "-o", "b.html")
    assert "100.00" in result.stdout


def test_reports_are_not_overwritten_unasked(run, source, tmp_path):
    (tmp_path / "edit-eval.json").write_text("mine")
    edited = negative(tmp_path)
    refused(run(edited, "--source", source), "edit-eval.json: already there")
    assert (tmp_path / "edit-eval.json").read_text() == "mine"
    assert run(edited, "--source", source, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "nothing to judge"),
        (("a.mp4",), "--source is missing"),
        (("a.mp4", "--source", "b.mp4", "--suite", "quick"), "or a suite, not both"),
        (("a.mp4", "--source", "b.mp4"), "a.mp4"),
        (("--clips", "."), "need each other"),
        (("--suite", "quick", "--also", "model"), "NAME=MODEL"),
        (("--suite", "quick", "-o", "r.pdf"), ".html"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(run, given, words):
    refused(run(*given), words)


@pytest.fixture
def judged(run, source, tmp_path):
    """Have a model edit a folder with one clip by one instruction; return what is written."""

    def judge(model: Path) -> Results:
        folder = tmp_path / "clips"
        folder.mkdir()
        source.rename(folder / "a.mp4")
        (tmp_path / "asked.txt").write_text("make it snow\n")
        result = run(
            "--suite", "quick", "--clips", folder, "--instructions", "asked.txt",
            "--model", model, "--device", "cpu",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        return read_results(tmp_path / "eval-quick.json")

    return judge


def test_a_folder_of_clips_is_edited_and_judged(judged, tmp_path):
    model = save_tiny_pipeline(tmp_path / "tiny", size=32, num_inference_steps=1, guidance_scale=1)
    written = judged(model)
    assert {case.instruction for case in written.cases} == {"make it snow"}
    assert len(written.methods) == 4
    assert written.settings["clips from"] == "clips"


def test_a_stock_pipeline_is_judged_like_any_editor(judged, tmp_path, monkeypatch):
    quick = replace(SUITES["quick"], sweeps={"num_anchors": (1, 3)}, num_tracked_clips=1)
    monkeypatch.setitem(SUITES, "quick", quick)
    model = tmp_path / "kontext"
    make_tiny_editor("kontext").save_pretrained(model)
    (model / "fairy.json").write_text('{"size": 64, "num_inference_steps": 1}')
    written = judged(model)
    own, shared, _, anchors = (written.of(name)[0].scores.values for name in written.methods)
    assert own != shared != anchors
    assert {case.method for case in written.sweeps["num_anchors"]} == {"1", "3"}
    assert written.property_of("kontext", "anchor_transfer").mean > 0
    assert written.tracking["kontext"].num_points > 0


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (0.5, 0), (1.5, 1)])
def test_a_regression_is_exit_code_1(run, tmp_path, factor, code):
    values = np.linspace(0.002, 0.004, 12)
    for name, times in (("a", 1.0), ("b", factor)):
        results = make_results({"anchors": (times * values).tolist()})
        (tmp_path / f"{name}.json").write_text(results.to_json())
    result = run("--compare", "a.json", "b.json")
    assert result.exit_code == code, result.output
    assert "worse" in result.stdout


def test_comparing_something_else_is_one_line(run, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    refused(run("--compare", "a.json", "a.json"), "not the JSON of an evaluation")


def test_the_report_does_not_replace_the_instructions_that_are_read(run: Run, tmp_path: Path):
    """A report is three files; one is named as the list of instructions."""
    listed = tmp_path / "edits.csv"
    listed.write_text("instruction\nmake it snow\n")
    result = run("--clips", tmp_path, "--instructions", listed, "-o", "edits.html", "--overwrite")
    assert result.exit_code == 2
    assert "edits.csv: would replace what is read" in result.stderr
    assert listed.read_text() == "instruction\nmake it snow\n"
