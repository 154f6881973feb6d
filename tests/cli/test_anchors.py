"""`fairy anchors` and the key frames of `fairy edit`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fairy.cli.app import app
from fairy.media.write import write_video
from fairy.settings import EditConfig
from tests.tiny import make_frames


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_video(make_frames(9, 24, 32), "clip.mp4", fps=10)
    return tmp_path


def test_anchors_are_written_and_named(folder: Path):
    out = str(Path("a", "b", "keys"))  # folders that are made
    done = CliRunner().invoke(app, ["anchors", "clip.mp4", "-o", out, "--num-anchors", "2"])
    assert done.exit_code == 0 and done.stdout == f"{out}: frames 2, 6\n"
    assert sorted(path.name for path in (folder / out).iterdir()) == [
        "000002.png", "000006.png", "anchors.json",
    ]  # fmt: skip


def test_a_key_frame_may_be_given_several_times(folder: Path):
    command = ["edit", "clip.mp4", "snow", "-o", "o.mp4", "--save-settings", "s.json"]
    command += ["--keyframe", "4=a b.png", "--keyframe", "99=b.png"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2 and "frames 0 to 8" in done.stderr
    given = json.loads((folder / "s.json").read_text())["keyframe"]
    assert EditConfig(keyframe=given).keyframe == ("4=a b.png", "99=b.png")


@pytest.mark.parametrize(
    "options",
    [
        ["--keyframe", "x.png"],
        ["--keyframe", "9=clip.mp4"],
        ["--keyframes", "none"],
        ["--mask", "none.png"],
        ["--mask", "clip.mp4", "--region", "0,0,5000,5"],
        ["--region", "1,2,3"],
        ["--mask-feather", "-2", "--mask", "clip.mp4"],
        ["--mask-grow", "4"],
        ["--mask-strength", "2"],
        ["--from", "101%"],
        ["--from", "4", "--to", "2"],
        ["--fade", "1s"],
        ["--strength", "1.5"],
        ["--save-masks", "masks"],
    ],
)
def test_misuse_ends_in_one_line_and_writes_nothing(folder: Path, options: list[str]):
    before = sorted(folder.iterdir())
    done = CliRunner().invoke(app, ["edit", "clip.mp4", "snow", "-o", "out.mp4", *options])
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert sorted(folder.iterdir()) == before
