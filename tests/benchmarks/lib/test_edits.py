"""benchmarks/lib/edits.py: an edit's report comes back; a failed edit is no report."""

from __future__ import annotations

import subprocess

import pytest

from benchmarks.lib.clips import write_rendered_clip
from benchmarks.lib.edits import report_of_edit

OPTIONS = ("--size", 32, "--steps", 1, "--num-anchors", 1, "--device", "cpu")
# Without it the free memory is worked out first, which takes longer than the edit
OPTIONS += ("--frame-batch-size", 2)


def test_report_is_of_this_edit(tmp_path):
    write_rendered_clip(tmp_path / "clip.mp4", 3, (32, 32))
    report = report_of_edit(tmp_path / "clip.mp4", "make it night", *OPTIONS)
    assert report["num_frames"] == 3 and report["peak_memory_bytes"] > 100e6
    assert (tmp_path / "edited.mp4").exists()


def test_failed_edit_is_an_error(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        report_of_edit(tmp_path / "missing.mp4", "make it night", "--no-such-option")
