"""benchmarks/lib/edits.py: an edit's report comes back; a failed edit is no report."""

from __future__ import annotations

import subprocess

import pytest
from typer.testing import CliRunner

from benchmarks.lib import edits
from benchmarks.lib.clips import write_rendered_clip
from benchmarks.lib.edits import report_of_edit
from fairy.cli.app import app

OPTIONS = ("--size", 32, "--steps", 1, "--num-anchors", 1, "--device", "cpu")
# Without it the free memory is worked out first, which takes longer than the edit
OPTIONS += ("--frame-batch-size", 2)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Run the command here instead of in its own process, which is slow to start."""

    def run(command: list[str], *, check: bool) -> None:
        result = CliRunner().invoke(app, command[3:])
        if check and result.exit_code:
            raise subprocess.CalledProcessError(result.exit_code, command)

    monkeypatch.setattr(edits.subprocess, "run", run)


def test_report_is_of_this_edit(tmp_path):
    write_rendered_clip(tmp_path / "clip.mp4", 3, (32, 32))
    report = report_of_edit(tmp_path / "clip.mp4", "make it night", *OPTIONS)
    assert report["num_frames"] == 3 and report["peak_memory_bytes"] > 100e6
    assert (tmp_path / "edited.mp4").exists()


def test_failed_edit_is_an_error(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        report_of_edit(tmp_path / "missing.mp4", "make it night", "--no-such-option")
