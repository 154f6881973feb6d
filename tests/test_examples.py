"""Every script of examples/ that edits a clip runs as a person would run it, with tiny settings."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from examples.rendered_clip import rendered_clip
from fairy import write_video
from fairy.media.read import probe

EXAMPLES = Path(__file__).parents[1] / "examples"
NUM_FRAMES = 6
INSTRUCTION = "make it black and white"


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # As where nobody sits before a screen: the demo then opens no browser
    monkeypatch.delenv("DISPLAY", raising=False)
    write_video(rendered_clip(NUM_FRAMES, 48, 64), tmp_path / "clip.mp4", fps=12)
    return tmp_path / "clip.mp4"


def run(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments), "--steps", "1"])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")


@pytest.mark.parametrize(
    ("script", "options"), [("edit_clip.py", ("--size", 64)), ("edit_frames.py", ())]
)
def test_a_clip_is_edited(
    script: str, options: tuple[object, ...], clip: Path, monkeypatch: pytest.MonkeyPatch
):
    out = clip.with_name("out.mp4")
    run(monkeypatch, script, clip, INSTRUCTION, out, *options)
    assert probe(out).num_frames == NUM_FRAMES


def test_the_demo_edits_a_clip_by_each_instruction_and_compares(
    clip: Path, monkeypatch: pytest.MonkeyPatch
):
    out = clip.with_name("demo")
    two = ["--instruction", INSTRUCTION, "--instruction", "make it night"]
    run(monkeypatch, "demo.py", "--clip", clip, "--out", out, "--size", 64, *two)
    for name in ("make-it-black-and-white.mp4", "make-it-night.mp4", "comparison.mp4"):
        assert probe(out / name).num_frames == NUM_FRAMES
    assert (out / "comparison.png").stat().st_size > 0
