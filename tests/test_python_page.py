"""Every Python block of README and docs/python.md runs, as a newcomer would type it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairy.media.read import probe
from fairy.media.write import write_video
from tests.tiny import make_frames

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("page", "least", "made"),
    [
        ("README.md", 1, ("grey.mp4", "sketch.mp4")),
        ("docs/python.md", 6, ("night.mp4", "sepia.mp4", "comic.mp4", "snow.mp4")),
    ],
)
def test_every_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, least: int, made: tuple[str, ...]
):
    monkeypatch.chdir(tmp_path)
    write_video(make_frames(6, 48, 64), "in.mp4", fps=12)
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    assert len(blocks) >= least
    for name in made:
        assert probe(name).num_frames == 6
