"""Every block of docs/python.md runs, as a newcomer would type it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairy.media.read import probe
from fairy.media.write import write_video
from tests.tiny import make_frames

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    write_video(make_frames(6, 48, 64), "in.mp4", fps=12)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert len(blocks) >= 6
    for name in ("night.mp4", "sepia.mp4", "comic.mp4", "snow.mp4"):
        assert probe(name).num_frames == 6
