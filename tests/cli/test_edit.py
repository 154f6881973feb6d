"""`fairy edit`: words, exit codes, and nothing left behind."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fairy.cli.app import app
from fairy.media.read import probe, read_video
from fairy.media.write import write_video
from tests.cli.conftest import NUM_FRAMES, assert_refused
from tests.cli.lines import without_progress
from tests.tiny import make_frames

ROOT = Path(__file__).parents[2]

Edit = Callable[..., Result]


@pytest.fixture
def edit(model: Path) -> Edit:
    def run(source: Path, instruction: str, out: Path, *options: object) -> Result:
        given = ["edit", source, instruction, "-o", out, "--model", model, "--device", "cpu"]
        return CliRunner().invoke(app, [str(part) for part in [*given, *options]])

    return run


def test_edit_keeps_frames_times_and_size(clip: Path, edit: Edit):
    out = clip.with_name("out.mp4")
    assert edit(clip, "make it snow", out).exit_code == 0
    before, after = probe(clip), probe(out)
    assert after.num_frames == NUM_FRAMES
    assert (after.height, after.width, after.fps) == (before.height, before.width, before.fps)
    assert not np.array_equal(read_video(out), read_video(clip))


def test_quiet_when_not_a_terminal(clip: Path, edit: Edit):
    result = edit(clip, "make it snow", clip.with_name("out.mp4"))
    assert (result.exit_code, result.output) == (0, "")


def test_same_seed_same_video_other_seed_another(clip: Path, edit: Edit):
    videos = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = clip.with_name(f"{name}.mp4")
        assert edit(clip, "make it snow", out, "--seed", seed).exit_code == 0
        videos.append(read_video(out))
    assert np.array_equal(videos[0], videos[1])
    assert not np.array_equal(videos[0], videos[2])


def test_compare_and_report(clip: Path, edit: Edit):
    side, report = clip.with_name("side.mp4"), clip.with_name("report.json")
    result = edit(
        clip, "make it snow", clip.with_name("out.mp4"), "--compare", side, "--report", report
    )
    assert result.exit_code == 0
    assert probe(side).width > 2 * probe(clip).width
    assert probe(side).num_frames == NUM_FRAMES
    document = json.loads(report.read_text())
    assert document["num_frames"] == document["num_frames_out"] == NUM_FRAMES
    assert document["used"]["num_inference_steps"] == 2
    assert document["used"]["backend"] == "sdpa"
    assert document["used"]["backend_reason"]


def test_an_option_beats_the_quality_and_the_report_says_what_was_used(clip: Path, edit: Edit):
    report, out = clip.with_name("report.json"), clip.with_name("out.mp4")
    options = ["--quality", "fast", "--reuse", 3, "--guidance-interval", 0.25, 0.75]
    assert edit(clip, "make it snow", out, *options, "--report", report).exit_code == 0
    used = json.loads(report.read_text())["used"]
    assert used["quality"] == "custom"
    assert (used["shortcuts"]["reuse"], used["shortcuts"]["guidance_interval"]) == (3, [0.25, 0.75])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--quality", "best"], "--quality 'best' is unknown: use exact, balanced, fast"),
        (["--blend", "3"], "there is one instruction only: give more with --schedule"),
        (["--ref", "gone.png"], "ref gone.png: no such file"),
        (["--ref", "clip.mp4"], "no such file"),
        (["--control", "edges"], "control 'edges' is unknown: use ip2p, canny, depth"),
        (["--control", "canny:0.5"], "edits by itself (InstructPix2Pix) and takes no ControlNet"),
        (["--guidance-interval", "0.6", "0.2"], "--guidance-interval is 0.6 0.2: give two"),
        (
            ["--fp8"],
            "fp8 needs a CUDA card of compute capability 8.9 or higher, but the device is cpu",
        ),
    ],
)
def test_modes_that_cannot_be_are_refused(clip: Path, edit: Edit, options: list[str], words: str):
    result = edit(clip, "make it snow", clip.with_name("out.mp4"), *options)
    assert_refused(result, words, clip.parent, {"clip.mp4"})


def test_options_reach_the_edit(clip: Path, edit: Edit):
    report = clip.with_name("report.json")
    options = ["--steps", 1, "--guidance-scale", 3, "--image-guidance-scale", 2, "--seed", 9]
    options += ["--anchors", "4,0", "--size", 48, "--backend", "reference", "--dtype", "float32"]
    options += ["--frame-batch-size", 1, "--no-keep-size", "--report", report]
    out = clip.with_name("out.mp4")
    assert edit(clip, "make it snow", out, *options).exit_code == 0
    document = json.loads(report.read_text())
    assert document["used"]["num_inference_steps"] == 1
    assert document["used"]["guidance_scale"] == 3
    assert document["used"]["image_guidance_scale"] == 2
    assert document["used"]["backend"] == "reference"
    assert document["used"]["anchor_indices"] == [0, 4]
    assert document["size"] == [36, 48]
    assert (probe(out).height, probe(out).width) == (36, 48)


def test_missing_file(tmp_path: Path, edit: Edit):
    result = edit(tmp_path / "gone.mp4", "make it snow", tmp_path / "out.mp4")
    assert_refused(result, "gone.mp4: no such file", tmp_path, set())


def test_empty_file(tmp_path: Path, edit: Edit):
    (tmp_path / "in.mp4").touch()
    result = edit(tmp_path / "in.mp4", "make it snow", tmp_path / "out.mp4")
    assert_refused(result, "in.mp4: the file is empty", tmp_path, {"in.mp4"})


def test_text_named_mp4(tmp_path: Path, edit: Edit):
    (tmp_path / "in.mp4").write_text("dear diary\n" * 100)
    result = edit(tmp_path / "in.mp4", "make it snow", tmp_path / "out.mp4")
    assert_refused(result, "in.mp4: not a video", tmp_path, {"in.mp4"})


def test_truncated_file(clip: Path, edit: Edit):
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 3 // 4])
    result = edit(clip, "make it snow", clip.with_name("out.mp4"))
    assert_refused(result, "clip.mp4: the file is cut short", clip.parent, {"clip.mp4"})


def test_no_video_stream(tmp_path: Path, edit: Edit, audio_only: Path):
    result = edit(audio_only, "make it snow", tmp_path / "out.mp4")
    kept = {audio_only.name}
    assert_refused(result, "no video stream found (1 audio streams)", tmp_path, kept)


@pytest.fixture
def audio_only(tmp_path: Path) -> Path:
    """A second of silence as the only stream."""
    path = tmp_path / "sound.wav"
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    header = b"RIFF" + struct.pack("<I", 8036) + b"WAVE" + form + b"data" + struct.pack("<I", 8000)
    path.write_bytes(header + b"\x80" * 8000)
    return path


@pytest.mark.parametrize("instruction", ["", "   "])
def test_empty_instruction(clip: Path, edit: Edit, instruction: str):
    result = edit(clip, instruction, clip.with_name("out.mp4"))
    assert_refused(result, "the instruction is empty", clip.parent, {"clip.mp4"})


@pytest.mark.parametrize("name", ["mimi", "./models/gone", "gone.safetensors"])
def test_unknown_model(clip: Path, edit: Edit, name: str):
    result = edit(clip, "make it snow", clip.with_name("out.mp4"), "--model", name)
    assert_refused(result, f"model {name}: ", clip.parent, {"clip.mp4"})


def test_output_exists(clip: Path, edit: Edit):
    out = clip.with_name("out.mp4")
    out.write_text("mine")
    assert_refused(
        edit(clip, "make it snow", out), "out.mp4: already", clip.parent, {"clip.mp4", "out.mp4"}
    )
    assert out.read_text() == "mine"


def test_overwrite_replaces(clip: Path, edit: Edit):
    out = clip.with_name("out.mp4")
    out.write_text("mine")
    assert edit(clip, "make it snow", out, "--overwrite").exit_code == 0
    assert probe(out).num_frames == NUM_FRAMES


def test_missing_folders_are_made(clip: Path, edit: Edit):
    out, side, report, saved = (
        clip.parent / name for name in ("a/b/out.mp4", "c/side.mp4", "d/e/report.json", "f/s.json")
    )
    masks = clip.parent / "m" / "masks"
    options = ["--compare", side, "--report", report, "--save-settings", saved]
    options += ["--region", "0,0,32,32", "--save-masks", masks, "--work-dir", clip.parent / "w"]
    assert edit(clip, "make it snow", out, *options).exit_code == 0
    assert probe(out).num_frames == probe(side).num_frames == NUM_FRAMES
    for path in (out, side, report, saved, masks):
        assert [made.name for made in path.parent.iterdir()] == [path.name]


def test_no_folder_is_left_of_an_edit_that_is_refused(clip: Path, edit: Edit):
    result = edit(clip, "make it snow", clip.parent / "a" / "b" / "out.mp4", "--device", "cuda:99")
    assert_refused(result, "cuda:99", clip.parent, {"clip.mp4"})


def test_unknown_container(clip: Path, edit: Edit):
    result = edit(clip, "make it snow", clip.with_name("out.xyz"))
    assert_refused(result, "out.xyz: unknown container .xyz", clip.parent, {"clip.mp4"})


def test_more_anchors_than_frames_uses_fewer_and_says_so(clip: Path, edit: Edit):
    report = clip.with_name("report.json")
    out = clip.with_name("out.mp4")
    result = edit(clip, "make it snow", out, "--num-anchors", 9, "--report", report)
    assert result.exit_code == 0
    assert "9 anchors requested, but the clip has 5 frames" in result.stderr
    document = json.loads(report.read_text())
    assert document["used"]["anchor_indices"] == [0, 1, 2, 3, 4]
    assert "9 anchors requested" in document["notes"][0]


def test_anchor_outside_the_clip(clip: Path, edit: Edit):
    result = edit(clip, "make it snow", clip.with_name("out.mp4"), "--anchors", "0,5")
    assert_refused(result, "5 is not in the clip", clip.parent, {"clip.mp4"})


def test_anchors_that_are_no_numbers(clip: Path, edit: Edit):
    result = edit(clip, "make it snow", clip.with_name("out.mp4"), "--anchors", "0,x")
    assert_refused(
        result,
        "--anchors is '0,x': give frame numbers, as in 0,40,80",
        clip.parent,
        {"clip.mp4"},
    )


def test_impossible_setting(clip: Path, edit: Edit):
    result = edit(clip, "make it snow", clip.with_name("out.mp4"), "--steps", 0)
    assert_refused(result, "--steps is 0", clip.parent, {"clip.mp4"})


def test_unknown_words_are_refused_with_what_is_known_unless_forced(clip: Path, edit: Edit):
    out = clip.with_name("out.mp4")
    result = edit(clip, "make it purple snow", out)
    assert_refused(result, "'purple'; did you mean \"make it snow\"", clip.parent, {"clip.mp4"})
    assert "--force tries anyway" in result.stderr
    assert edit(clip, "make it purple snow", out, "--force").exit_code == 0


def test_interrupt_before_the_first_frame_leaves_nothing(
    clip: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
):
    from fairy.editors.ip2p.pipeline import FairyPipeline

    def interrupted(*args: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FairyPipeline, "begin", interrupted)
    result = edit(clip, "make it snow", clip.with_name("out.mp4"))
    assert result.exit_code == 130
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_a_fresh_process_is_quiet_too(clip: Path, model: Path):
    command = ["edit", clip, "make it snow", "-o", clip.with_name("out.mp4"), "--model", model]
    done = subprocess.run(
        [sys.executable, "-m", "fairy", *map(str, command), "--device", "cpu"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, without_progress(done.stderr)) == ("", "")
    assert done.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text there")
def test_a_name_that_is_no_text(clip: Path, edit: Edit):
    source = clip.rename(clip.with_name("clip\udcff.mp4"))
    out, report = clip.with_name("out\udcff.mp4"), clip.with_name("report.json")
    options = ["--report", report, "--force"]
    assert edit(source, "make \n it sn\udcff snow", out, *options).exit_code == 0
    document = json.loads(report.read_text())
    assert document["source"] == str(source)
    assert document["instruction"] == "make it sn? snow"


def test_preview_draws_a_sheet_and_says_how_to_go_on(clip: Path, edit: Edit):
    out = clip.parent / "a" / "b" / "out.mp4"  # folders that are made
    result = edit(clip, "make it snow", out, "--preview", 2)
    assert result.exit_code == 0
    sheet = out.with_name("out.preview.png")
    assert result.stdout == f"{sheet}: continue with the same command without --preview\n"
    assert sheet.exists()
    assert not out.exists()


def test_unknown_shots_are_refused_with_what_is_allowed(clip: Path, edit: Edit):
    result = edit(clip, "make it snow", clip.with_name("out.mp4"), "--shots", "on")
    words = "use auto, off, or a file of frame numbers"
    assert_refused(result, words, clip.parent, {"clip.mp4"})


def test_settings_are_saved_and_used_again_and_options_win(clip: Path, edit: Edit):
    saved, report, out = (clip.with_name(name) for name in ("s.json", "report.json", "out.mp4"))
    options = ["--steps", 1, "--seed", 9, "--guidance-interval", 0, 0.5, "--strict", "--size", 48]
    first = edit(clip, "make it snow", out, *options, "--save-settings", saved, "--report", report)
    assert first.exit_code == 0, first.output
    for file in (saved, report):
        again, then = clip.with_name("again.mp4"), clip.with_name("then.json")
        options = ["--settings", file, "--seed", 3, "--no-strict", "--report", then, "--overwrite"]
        assert edit(clip, "make it snow", again, *options).exit_code == 0
        before, after = (json.loads(path.read_text())["settings"] for path in (report, then))
        assert after == before | {"seed": 3, "strict": False}


def test_saving_replaces_no_other_file_and_the_same_command_goes_on(clip: Path, edit: Edit):
    saved, out = clip.with_name("s.json"), clip.with_name("out.mp4")
    saved.write_text("mine")
    result = edit(clip, "make it snow", out, "--save-settings", saved)
    assert_refused(result, "s.json: already there", clip.parent, {"clip.mp4", "s.json"})
    saved.unlink()
    for _ in range(2):
        assert edit(clip, "make it snow", out, "--save-settings", saved).exit_code == 0
        out.unlink()


@pytest.mark.parametrize("option", ["--save-settings", "--report"])
def test_no_file_of_the_command_replaces_one_that_it_reads(clip: Path, edit: Edit, option: str):
    settings, before = clip.with_name("s.json"), clip.read_bytes()
    settings.write_text('{"seed": 3}')
    options = ["--settings", settings, "--overwrite", option]
    for path, words in ((clip, "the clip to edit"), (settings, "--settings")):
        result = edit(clip, "make it snow", clip.with_name("out.mp4"), *options, path)
        assert_refused(result, f"would replace {words}", clip.parent, {"clip.mp4", "s.json"})
    assert (clip.read_bytes(), settings.read_text()) == (before, '{"seed": 3}')


def test_a_model_that_takes_no_references_says_so_and_writes_nothing(clip: Path, edit: Edit):
    write_video(make_frames(1), clip.with_name("hat.png"))
    options = ["--ref", clip.with_name("hat.png")]
    result = edit(clip, "make it snow", clip.with_name("out.mp4"), *options)
    kept = {"clip.mp4", "hat.png"}
    assert_refused(result, "InstructPix2Pix models take one picture", clip.parent, kept)
