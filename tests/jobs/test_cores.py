"""The bytes of a result do not depend on how many cores the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fairy.media.write import write_video
from tests.jobs.worker import start
from tests.tiny import make_frames

pytestmark = [
    pytest.mark.forks,
    pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cannot choose cores"),
]


@pytest.mark.timeout(600)
def test_the_bytes_are_the_same_with_one_core_and_with_all(tmp_path: Path):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core only")
    clip, printed = tmp_path / "clip.mp4", tmp_path / "printed.txt"
    write_video(make_frames(8, 120, 160), clip, fps=10)
    contents = []
    for some in (cores[:1], cores):
        out = tmp_path / f"on {len(some)} cores.mp4"
        options = ["--size", 96, "--steps", 1, "--frame-batch-size", 4, "--shots", "off"]
        process = start(["edit", clip, "make it snow", "-o", out, *options], printed, some)
        process.join()
        assert process.exitcode == 0, printed.read_text()
        contents.append(out.read_bytes())
    assert contents[0] == contents[1]
